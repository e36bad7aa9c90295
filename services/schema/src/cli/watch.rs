//! `schema watch`: the state, and each change of it.

use std::process::ExitCode;

use api::{
    Reason,
    schema::v1::{SchemaState, WatchRequest},
};
use clap::Args;
use cli::{Failure, Output};
use tonic::Status;
use tonic_types::StatusExt as _;
use wire::{convert::time, format_time};

use super::{client::Client, current::state_line};

#[derive(Debug, Args)]
pub struct WatchArgs {}

pub(super) async fn run(
    _: WatchArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut states = client.watch(WatchRequest::default()).await?.into_inner();
    loop {
        match states.message().await {
            Ok(Some(response)) => {
                let state = response.state.unwrap_or_default();
                output.result(&state, &line(&state))?;
            }
            Ok(None) => break,
            Err(status) if is_shutdown(&status) => break,
            Err(status) => return Err(status.into()),
        }
    }
    output.note("the schema service is shutting down and ended the stream");
    Ok(ExitCode::SUCCESS)
}

fn is_shutdown(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| info.reason == Reason::ShuttingDown.as_str())
}

/// `2026-01-01T12:00:00Z 0001: the schema is at 0001 …`.
fn line(state: &SchemaState) -> String {
    let observed = format_time(state.observed_at.and_then(time).unwrap_or_default());
    let colon = if state.message.is_empty() { "" } else { ": " };
    format!("{observed} {}{colon}{}", state_line(state), state.message)
}
