//! `schema verify`: how the live catalog differs from the expected one.

use std::process::ExitCode;

use api::schema::v1::{Drift, VerifyRequest};
use clap::Args;
use cli::{Failure, NOT_SO, Output};

use super::client::Client;

#[derive(Debug, Args)]
pub struct VerifyArgs {}

pub(super) async fn run(
    _: VerifyArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let drift = client.verify(VerifyRequest {}).await?.into_inner().drift.unwrap_or_default();
    output.result(&drift, &lines(&drift).join("\n"))?;
    if !drift.missing.is_empty() || !drift.degraded.is_empty() {
        return Ok(NOT_SO.into());
    }
    output.note("the database holds everything that its revision creates");
    Ok(ExitCode::SUCCESS)
}

/// One line for each difference, the worst first.
fn lines(drift: &Drift) -> Vec<String> {
    let grades =
        [("missing", &drift.missing), ("degraded", &drift.degraded), ("extra", &drift.extra)];
    let lines = grades.iter().flat_map(|(grade, differences)| {
        differences.iter().map(move |difference| format!("{grade}: {difference}"))
    });
    lines.collect()
}
