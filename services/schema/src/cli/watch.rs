//! `schema watch`: the state, and every change of it.

use std::process::ExitCode;

use api::schema::v1::{SchemaState, WatchRequest};
use clap::Args;
use cli::{Failure, Output};
use tonic::Status;
use tonic_types::StatusExt as _;
use wire::convert::time;

use super::{client::Client, current::standing};

/// What `watch` is asked.
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
                output.result(&state, &words(&state))?;
            }
            Ok(None) => break,
            Err(status) if shuts_down(&status) => break,
            Err(status) => return Err(status.into()),
        }
    }
    output.note("the schema service ended the stream: it shuts down");
    Ok(ExitCode::SUCCESS)
}

fn shuts_down(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == "SHUTTING_DOWN")
}

/// `12:00:00Z 0001: the schema is at 0001 and has 2 to go …`.
fn words(state: &SchemaState) -> String {
    let seen = state.observed_at.and_then(time).unwrap_or_default().format("%TZ");
    let colon = if state.message.is_empty() { "" } else { ": " };
    format!("{seen} {}{colon}{}", standing(state), state.message)
}
