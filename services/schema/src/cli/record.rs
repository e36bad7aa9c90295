//! `schema stamp` and `schema repair`: what is recorded without a migration being run.

use std::process::ExitCode;

use api::schema::v1::{RepairRequest, StampRequest};
use clap::Args;
use cli::{Failure, Output};

use super::{client::Client, current::standing};

/// What is to be recorded.
#[derive(Debug, Args)]
pub struct StampArgs {
    /// The revision that the database is at; every older one is recorded with it. "base" forgets
    /// all.
    pub revision: String,
    /// Go on although the live catalog does not look like that revision.
    #[arg(long)]
    pub force: bool,
}

/// What is to be taken as right.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The altered revision.
    pub revision: String,
}

pub(super) async fn stamp(
    args: StampArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let request = StampRequest { revision: args.revision, force: args.force };
    let state = client.stamp(request).await?.into_inner().state.unwrap_or_default();
    output.result(&state, &standing(&state))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn repair(
    args: RepairArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let request = RepairRequest { revision: args.revision };
    let state = client.repair(request).await?.into_inner().state.unwrap_or_default();
    output.result(&state, &standing(&state))?;
    Ok(ExitCode::SUCCESS)
}
