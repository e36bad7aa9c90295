//! `schema current`: the current revision, as Alembic prints it.

use std::process::ExitCode;

use api::schema::v1::{CurrentRequest, SchemaState, Status};
use clap::Args;
use cli::{Failure, NOT_SO, Output};
use schema::display::revision_name;

use super::{advice, client::Client};

#[derive(Debug, Args)]
pub struct CurrentArgs {
    /// Exit with 3 unless the schema is at head.
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(
    args: CurrentArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let state = client.current(CurrentRequest {}).await?.into_inner().state.unwrap_or_default();
    // Nothing before the first revision, as from Alembic: scripts compare.
    let line = if state.revision.is_empty() { String::new() } else { state_line(&state) };
    output.result(&state, &line)?;
    if !state.message.is_empty() {
        output.note(&state.message);
    }
    if let Some(advice) = advice::for_state(&state) {
        output.note(format_args!("  {advice}"));
    }
    Ok(if args.check && !state.at_head { NOT_SO.into() } else { ExitCode::SUCCESS })
}

/// `0002 (head)`, and marks in the same form for what Alembic does not know.
pub(super) fn state_line(state: &SchemaState) -> String {
    let mut line = revision_name(&state.revision).to_owned();
    if !state.head.is_empty() && state.revision == state.head {
        line += " (head)";
    }
    line += match state.status() {
        Status::Diverged => " (diverged)",
        Status::Ahead => " (ahead)",
        Status::Migrating => " (migrating)",
        Status::Failed => " (failed)",
        Status::Unmanaged => " (unmanaged)",
        Status::Drifted => " (drifted)",
        Status::AtHead | Status::Behind | Status::Empty | Status::Unspecified => "",
    };
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(revision: &str, status: Status) -> SchemaState {
        let head = "0002".to_owned();
        let mut state = SchemaState { revision: revision.into(), head, ..SchemaState::default() };
        state.set_status(status);
        state
    }

    #[test]
    fn a_state_prints_as_alembic_does_with_marks_of_our_own() {
        for (revision, status, line) in [
            ("0002", Status::AtHead, "0002 (head)"),
            ("0001", Status::Behind, "0001"),
            ("", Status::Empty, "base"),
            ("0002", Status::Drifted, "0002 (head) (drifted)"),
            ("0003", Status::Ahead, "0003 (ahead)"),
            ("0001", Status::Migrating, "0001 (migrating)"),
        ] {
            assert_eq!(state_line(&state(revision, status)), line);
        }
    }
}
