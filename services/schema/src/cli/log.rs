//! `schema log`: the operations that were ever run, from the ledger.

use std::process::ExitCode;

use api::schema::v1::{ListOperationsRequest, Operation, operation::Outcome};
use clap::Args;
use cli::{Failure, Output, rounded};
use wire::convert::time;

use super::client::Client;
use crate::state::{kind_words, name};

/// The longest page there is.
const PAGE: usize = 1_000;

/// What `log` is asked.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// How many operations, newest first; 0 for all.
    #[arg(long, short = 'n', default_value_t = 20)]
    pub limit: usize,
}

pub(super) async fn run(
    args: LogArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut left = if args.limit == 0 { usize::MAX } else { args.limit };
    let mut page_token = String::new();
    loop {
        let page_size = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
        let request = ListOperationsRequest { page_size, page_token };
        let page = client.list_operations(request).await?.into_inner();
        for operation in &page.operations {
            output.result(operation, &words(operation))?;
        }
        left = left.saturating_sub(page.operations.len());
        page_token = page.next_page_token;
        if left == 0 || page_token.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// `2026-01-01 12:00:00Z  upgrade base -> 0003  succeeded in 12ms  by anonymous`, and below it whom
/// it went on past, and the error.
fn words(operation: &Operation) -> String {
    let at = |timestamp: Option<prost_types::Timestamp>| timestamp.and_then(time);
    let (started, finished) = (at(operation.started_at), at(operation.finished_at));
    let took = started.zip(finished).and_then(|(from, to)| (to - from).to_std().ok());
    let outcome = match operation.outcome() {
        Outcome::Running => "running",
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
        Outcome::Unspecified => "unknown",
    };
    let mut words = format!(
        "{}  {} {} -> {}  {outcome}",
        started.unwrap_or_default().format("%F %TZ"),
        kind_words(operation.kind()),
        name(&operation.from_revision),
        name(&operation.to_revision),
    );
    if let Some(took) = took {
        words += &format!(" in {}", rounded(took));
    }
    words += &format!("  by {}", operation.actor);
    if !operation.forced_past.is_empty() {
        words += &format!("\n    forced past {}", operation.forced_past.join(", "));
    }
    if !operation.error.is_empty() {
        words += &format!("\n    {}", operation.error);
    }
    words
}
