//! `schema verify`: whether the live catalog is what the current revision promises.

use std::process::ExitCode;

use api::schema::v1::{Drift, VerifyRequest};
use clap::Args;
use cli::{Failure, NOT_SO, Output};

use super::client::Client;

/// What `verify` is asked.
#[derive(Debug, Args)]
pub struct VerifyArgs {}

pub(super) async fn run(
    _: VerifyArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let drift = client.verify(VerifyRequest {}).await?.into_inner().drift.unwrap_or_default();
    output.result(&drift, &words(&drift))?;
    let lacks = !drift.missing.is_empty() || !drift.degraded.is_empty();
    if !lacks {
        output.note("the database holds all that its revision promises");
    }
    Ok(if lacks { NOT_SO.into() } else { ExitCode::SUCCESS })
}

/// A line for each difference, the worst first.
fn words(drift: &Drift) -> String {
    let kinds =
        [("missing", &drift.missing), ("degraded", &drift.degraded), ("extra", &drift.extra)];
    let lines = kinds.iter().flat_map(|(kind, differences)| {
        differences.iter().map(move |difference| format!("{kind}: {difference}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}
