//! `schema stamp` and `schema repair`: what is recorded without running a revision.

use std::process::ExitCode;

use api::schema::v1::{RepairRequest, StampRequest};
use clap::Args;
use cli::{Failure, Output};

use super::{client::Client, current::state_line};

#[derive(Debug, Args)]
pub struct StampArgs {
    /// Revision that the database is at. Every older one is recorded with it; "base" removes all
    /// records.
    revision: String,
    /// Proceed although the live catalog differs from what is expected of that revision.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Altered revision.
    revision: String,
}

pub(super) async fn stamp(
    args: StampArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let request = StampRequest { revision: args.revision, force: args.force };
    let state = client.stamp(request).await?.into_inner().state.unwrap_or_default();
    output.result(&state, &state_line(&state))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn repair(
    args: RepairArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let request = RepairRequest { revision: args.revision };
    let state = client.repair(request).await?.into_inner().state.unwrap_or_default();
    output.result(&state, &state_line(&state))?;
    Ok(ExitCode::SUCCESS)
}
