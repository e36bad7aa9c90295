//! `schema log`: the operations of the ledger.

use std::process::ExitCode;

use api::schema::v1::{ListOperationsRequest, Operation, operation::Outcome};
use clap::Args;
use cli::{Failure, Output, rounded};
use schema::display::{kind_name, revision_name};
use wire::{convert::time, format_time};

use super::client::Client;

const MAX_PAGE_SIZE: usize = 1_000;

#[derive(Debug, Args)]
pub struct LogArgs {
    /// Maximum number of operations to print; 0 prints all.
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
}

pub(super) async fn run(
    args: LogArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut left = if args.limit == 0 { usize::MAX } else { args.limit };
    let mut page_token = String::new();
    loop {
        let page_size = i32::try_from(left.min(MAX_PAGE_SIZE)).unwrap_or(i32::MAX);
        let request = ListOperationsRequest { page_size, page_token };
        let page = client.list_operations(request).await?.into_inner();
        for operation in &page.operations {
            output.result(operation, &format_operation(operation))?;
        }
        left = left.saturating_sub(page.operations.len());
        page_token = page.next_page_token;
        if left == 0 || page_token.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// `2026-01-01T12:00:00Z  upgrade base -> 0003  succeeded in 12ms  by anonymous`, and below it the
/// dependents that it was forced past, and its error.
fn format_operation(operation: &Operation) -> String {
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
    let mut text = format!(
        "{}  {} {} -> {}  {outcome}",
        format_time(started.unwrap_or_default()),
        kind_name(operation.kind()),
        revision_name(&operation.from_revision),
        revision_name(&operation.to_revision),
    );
    if let Some(took) = took {
        text += &format!(" in {}", rounded(took));
    }
    text += &format!("  by {}", operation.actor);
    if !operation.forced_past.is_empty() {
        text += &format!("\n    forced past {}", operation.forced_past.join(", "));
    }
    if !operation.error.is_empty() {
        text += &format!("\n    {}", operation.error);
    }
    text
}
