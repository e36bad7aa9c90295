//! What to do about each refusal, as a command. docs/QUICK_FIX.md explains them at length.

use std::{collections::HashMap, process::ExitCode};

use api::{
    Reason,
    schema::v1::{SchemaState, Status},
};
use cli::{Failure, Output};
use tonic::Code;
use tonic_types::StatusExt as _;

/// What to do where no service answers.
const START: &str = "start it: schema serve --database-url postgres://user@host/database\n  \
     or name its address: --schema-url http://host:50051, or SCHEMA_URL";

/// Prints a failure with what to do about it. Returns the exit status of the process.
pub fn report(failure: &Failure, output: Output) -> ExitCode {
    failure.report("schema", for_failure(failure), output)
}

fn for_failure(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Unreachable { .. } => Some(START.into()),
        Failure::Refused(status) => match status.get_details_error_info() {
            Some(info) => cli::advice("schema", "", &info.reason, &info.metadata)
                .or_else(|| for_refusal(info.reason.parse().ok()?, &info.metadata)),
            None => Some(for_lost_response(status.code()).into()),
        },
        Failure::Local(_) | Failure::Output(_) => None,
    }
}

/// None where the message of the server says everything.
fn for_refusal(reason: Reason, metadata: &HashMap<String, String>) -> Option<String> {
    let of = |key: &str| metadata.get(key).map_or("", String::as_str);
    Some(match reason {
        Reason::TargetBehind => format!("to go back: schema downgrade {}", of("target")),
        Reason::TargetAhead => format!("to go forward: schema upgrade {}", of("target")),
        Reason::TargetMalformed
        | Reason::TargetAmbiguous
        | Reason::TargetRelative
        | Reason::TargetPastTheEnd
        | Reason::RevisionUnknown => "list the revisions: schema history".into(),
        Reason::RevisionsAltered => for_each("schema repair", of("altered")),
        Reason::RevisionsUnknown | Reason::RevisionsOutOfOrder => {
            "list the revisions: schema history".into()
        }
        Reason::OperationRunning => "follow it: schema watch\n  or wait longer: --wait 10m".into(),
        Reason::DatabaseUnmanaged => {
            "adopt the database as docs/MIGRATIONS.md explains, then: schema stamp REVISION".into()
        }
        Reason::CatalogDiffers => {
            "fix the differences, then: schema stamp, and schema verify".into()
        }
        Reason::DataLoss => "review it: schema plan. To accept it: --allow-data-loss".into(),
        Reason::PlanChanged => "review the new plan: schema plan".into(),
        Reason::DependentsWouldBreak => {
            "list the dependents: schema current --json. To go on without them: --force".into()
        }
        Reason::CurrentIsAnother => "see the current revision: schema current".into(),
        Reason::StepFailed => "earlier steps are kept: schema current, schema log".into(),
        Reason::LockTimeout => {
            "try again when the database is less busy, or wait longer: --wait 10m, \
             --lock-timeout 5s"
                .into()
        }
        Reason::DatabaseUnreadable => {
            "the message is the database's; if it is about a lock, try again".into()
        }
        Reason::ShuttingDown => {
            "try again: another replica, or the next server, continues from there".into()
        }
        Reason::DatabaseUnreachable => {
            "check that the database is up, and DATABASE_URL of the schema service".into()
        }
        _ => return None,
    })
}

/// What to do where the response broke off, or came from something else.
const fn for_lost_response(code: Code) -> &'static str {
    match code {
        Code::Unimplemented => {
            "check that the URL is a schema service's, and its build as new as this command"
        }
        _ => {
            "the connection was lost; an operation continues without its caller: schema current, \
             schema log"
        }
    }
}

/// What brings a schema to head, by its status.
pub fn for_state(state: &SchemaState) -> Option<String> {
    match state.status() {
        Status::Behind | Status::Empty if state.out_of_order.is_empty() => {
            Some("schema upgrade".into())
        }
        Status::Diverged => Some(for_each("schema repair", &state.altered.join(", "))),
        Status::Migrating => Some("schema watch".into()),
        Status::Failed => Some("schema log, then schema upgrade".into()),
        Status::Drifted => Some("schema verify".into()),
        Status::Ahead | Status::Behind | Status::Empty => Some("schema history".into()),
        Status::Unmanaged | Status::AtHead | Status::Unspecified => None,
    }
}

/// One command for each revision of a list.
fn for_each(command: &str, revisions: &str) -> String {
    let commands: Vec<String> =
        revisions.split(", ").map(|revision| format!("{command} {revision}")).collect();
    commands.join("; ")
}

#[cfg(test)]
mod tests {
    use wire::Problem;

    use super::*;

    #[test]
    fn a_refusal_comes_with_the_command_to_run() {
        let problem =
            Problem::new(Code::FailedPrecondition, Reason::TargetBehind, "'0001' is behind");
        let failure = Failure::from(tonic::Status::from(problem.with("target", "0001")));
        assert_eq!(for_failure(&failure).unwrap(), "to go back: schema downgrade 0001");
    }
}
