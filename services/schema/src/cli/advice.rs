//! The way out of each refusal, as a command of ours. docs/QUICK_FIX.md has them at length.

use std::{collections::HashMap, process::ExitCode};

use api::schema::v1::{SchemaState, Status};
use cli::{Failure, Output};
use tonic::Code;
use tonic_types::StatusExt as _;

/// Where nothing answers.
const START: &str = "start it: schema serve --database-url postgres://user@host/database\n  \
     or say where it is: --schema-url http://host:50051, or SCHEMA_URL";

/// Prints a failure with the way out of it, and says with which status the process ends.
pub fn report(failure: &Failure, output: Output) -> ExitCode {
    failure.report("schema", on(failure), output)
}

fn on(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Unreachable { .. } => Some(START.into()),
        Failure::Refused(status) => match status.get_details_error_info() {
            Some(info) => cli::advice("schema", &info.reason, &info.metadata)
                .or_else(|| on_refusal(&info.reason, &info.metadata)),
            None => Some(on_loss(status.code()).into()),
        },
        Failure::Local(_) | Failure::Output(_) => None,
    }
}

/// What to do about a refusal, by its `ErrorInfo`. None where the server's words say it all.
fn on_refusal(reason: &str, metadata: &HashMap<String, String>) -> Option<String> {
    let of = |key: &str| metadata.get(key).map_or("", String::as_str);
    Some(match reason {
        "TARGET_BEHIND" => format!("to go back: schema downgrade {}", of("target")),
        "TARGET_AHEAD" => format!("to go on: schema upgrade {}", of("target")),
        "TARGET_MALFORMED"
        | "TARGET_AMBIGUOUS"
        | "TARGET_RELATIVE"
        | "TARGET_PAST_THE_END"
        | "REVISION_UNKNOWN" => "the revisions there are: schema history".into(),
        "REVISIONS_ALTERED" => each("schema repair", of("altered")),
        "REVISIONS_UNKNOWN" | "REVISIONS_OUT_OF_ORDER" => "see them: schema history".into(),
        "OPERATION_RUNNING" => "follow it: schema watch\n  or wait longer: --wait 10m".to_owned(),
        "DATABASE_UNMANAGED" => {
            "what made it, and how to adopt it: docs/MIGRATIONS.md, then schema stamp REVISION"
                .into()
        }
        "CATALOG_DIFFERS" => "after mending them: schema stamp, and schema verify".into(),
        "DATA_LOSS" => "see it: schema plan. To lose it: --allow-data-loss".into(),
        "PLAN_CHANGED" => "look again: schema plan".into(),
        "DEPENDENTS_WOULD_BREAK" => {
            "who they are: schema current --json. To go on without them: --force".into()
        }
        "CURRENT_IS_ANOTHER" => "look again: schema current".into(),
        "STEP_FAILED" => "what ran before it is kept: schema current, schema log".into(),
        "LOCK_TIMEOUT" => {
            "when it is quieter, or with more patience: --wait 10m, --lock-timeout 5s".into()
        }
        "DATABASE_UNREADABLE" => {
            "what the database says is in the message; try again where it is a lock's".into()
        }
        "SHUTTING_DOWN" => "again: another replica, or the next server, goes on from there".into(),
        "DATABASE_UNREACHABLE" => "is it up, and is the service's DATABASE_URL right?".into(),
        _ => return None,
    })
}

/// What to do where the answer broke off, or came from something else.
const fn on_loss(code: Code) -> &'static str {
    match code {
        Code::Unimplemented => "is that a schema service, and as new as this command?",
        _ => {
            "the connection was lost. An operation goes on without its caller: schema current, schema log"
        }
    }
}

/// What brings a schema to head, by its status.
pub fn on_state(state: &SchemaState) -> Option<String> {
    match state.status() {
        Status::Behind | Status::Empty if state.out_of_order.is_empty() => {
            Some("schema upgrade".into())
        }
        Status::Diverged => Some(each("schema repair", &state.altered.join(", "))),
        Status::Migrating => Some("schema watch".into()),
        Status::Failed => Some("schema log, then schema upgrade".into()),
        Status::Drifted => Some("schema verify".into()),
        Status::Ahead | Status::Behind | Status::Empty => Some("schema history".into()),
        Status::Unmanaged | Status::AtHead | Status::Unspecified => None,
    }
}

/// One command for each revision of a list.
fn each(command: &str, revisions: &str) -> String {
    let commands: Vec<String> =
        revisions.split(", ").map(|revision| format!("{command} {revision}")).collect();
    commands.join("; ")
}

#[cfg(test)]
mod tests {
    use wire::Problem;

    use super::*;

    #[test]
    fn a_refusal_names_the_way_out() {
        let problem =
            Problem::new(Code::FailedPrecondition, api::Reason::TargetBehind, "'0001' is behind");
        let failure = Failure::from(tonic::Status::from(problem.with("target", "0001")));
        assert_eq!(on(&failure).unwrap(), "to go back: schema downgrade 0001");
    }
}
