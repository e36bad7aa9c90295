//! Errors as a client reads them: one code, one reason, and a way out.

use std::time::Duration;

use api::Reason;
use tonic::{Code, Status};
use wire::{Problem, error_chain};

use super::{OperationError, ReadError};
use crate::{engine::StatementError, plan::Loss, state::name, target::TargetError};

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::warn!(error = error_chain(&error), "the database cannot be read");
        error.refusal().map_or_else(unreachable, |words| {
            unreadable(format!("the database cannot be read: {words}"))
        })
    }
}

fn unreachable() -> Problem {
    Problem::new(
        Code::Unavailable,
        Reason::DatabaseUnreachable,
        "the schema service cannot reach its database; its log says why",
    )
    .retry_after(Duration::from_secs(1))
}

fn unreadable(words: String) -> Problem {
    Problem::new(Code::Unavailable, Reason::DatabaseUnreadable, words)
        .retry_after(Duration::from_secs(1))
}

impl From<TargetError> for Problem {
    fn from(error: TargetError) -> Self {
        target_problem("target", error)
    }
}

/// What is wrong with a target, at the field of the request that has it.
pub fn target_problem(field: &str, error: TargetError) -> Problem {
    let words = error.to_string();
    match error {
        TargetError::Malformed(_) => Problem::invalid(field, Reason::TargetMalformed, words),
        TargetError::Ambiguous { .. } => Problem::invalid(field, Reason::TargetAmbiguous, words),
        TargetError::Relative(_) => Problem::invalid(field, Reason::TargetRelative, words),
        TargetError::Unknown { target, .. } => {
            Problem::new(Code::NotFound, Reason::RevisionUnknown, words).with("target", target)
        }
        TargetError::Past { target, .. } => {
            Problem::new(Code::NotFound, Reason::TargetPastTheEnd, words).with("target", target)
        }
        TargetError::Behind { target, current } => Problem::new(
            Code::FailedPrecondition,
            Reason::TargetBehind,
            format!("{words}: call Downgrade"),
        )
        .with("target", target)
        .with("current", current),
        TargetError::Ahead { target, current } => Problem::new(
            Code::FailedPrecondition,
            Reason::TargetAhead,
            format!("{words}: call Upgrade"),
        )
        .with("target", target)
        .with("current", current),
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let words = error.to_string();
        let forbidden =
            |reason, subject: &str, way_out: &str| {
                Self::new(Code::FailedPrecondition, reason, format!("{words}: {way_out}"))
                    .precondition(reason.as_str(), subject, &words)
            };
        match error {
            OperationError::Target(error) => error.into(),
            OperationError::Unknown(revisions) => forbidden(
                Reason::RevisionsUnknown,
                &revisions,
                "deploy the newer schema service, or Downgrade to what this one holds",
            )
            .with("unknown", revisions.clone()),
            OperationError::OutOfOrder { revisions, .. } => forbidden(
                Reason::RevisionsOutOfOrder,
                &revisions,
                "give them newer numbers, or Downgrade below the first of them",
            )
            .with("out_of_order", revisions.clone()),
            OperationError::Altered(revisions) => forbidden(
                Reason::RevisionsAltered,
                &revisions,
                "deploy the build that applied them, or Repair them",
            )
            .with("altered", revisions.clone()),
            OperationError::Dependents(names) => forbidden(
                Reason::DependentsWouldBreak,
                &names,
                "stop them, deploy builds of them that can run on the result, or force it",
            )
            .with("dependents", names.clone()),
            OperationError::NotAltered(revision) => {
                forbidden(Reason::RevisionNotAltered, &revision, "there is nothing to repair")
            }
            OperationError::HalfDone(_) => {
                Self::new(Code::FailedPrecondition, Reason::RevisionHalfDone, words)
            }
            OperationError::Unmanaged(_) => {
                Self::new(Code::FailedPrecondition, Reason::DatabaseUnmanaged, words)
            }
            OperationError::LooksDifferent { revision, differences, fits } => {
                let way_out = match fits {
                    Some(fits) => format!("Stamp {fits}, which it looks like"),
                    None => "mend each of these, or force it".into(),
                };
                let problem = Self::new(
                    Code::FailedPrecondition,
                    Reason::CatalogDiffers,
                    format!("{words}: {way_out}"),
                );
                let each = |problem: Self, what: &String| {
                    problem.precondition("CATALOG_DIFFERS", &revision, what)
                };
                differences.iter().fold(problem, each).with("revision", revision.clone())
            }
            OperationError::NotDescribed(revision) => forbidden(
                Reason::CatalogNotDescribed,
                &revision,
                "deploy the build that holds it, write its catalog.txt with `schema describe`, or \
                 force a Stamp",
            ),
            OperationError::NoText(revision) => {
                forbidden(Reason::RevisionHasNoText, &revision, "deploy the build that holds it")
                    .with("revision", revision.clone())
            }
            OperationError::Busy { running } => {
                Self::new(Code::Aborted, Reason::OperationRunning, words)
                    .with("running", running)
                    .retry_after(Duration::from_secs(1))
            }
            OperationError::Expected { expected, actual } => {
                let words = format!(
                    "the current revision is {}, not {}: look again, and decide anew",
                    name(&actual),
                    name(&expected)
                );
                Self::new(Code::Aborted, Reason::CurrentIsAnother, words)
                    .with("expected", expected)
                    .with("current", actual)
            }
            OperationError::DataLoss(losses) => data_loss(words, &losses),
            OperationError::PlanChanged => Self::new(
                Code::Aborted,
                Reason::PlanChanged,
                format!("{words}: call Plan again, and decide anew"),
            ),
            OperationError::Step { revision, half, error } => {
                let way_out = match half {
                    true => "mend what stopped it and run it again: it goes on at this statement",
                    false => "mend the migration, then run it again",
                };
                step(forbidden(Reason::StepFailed, &revision, way_out), &revision, &error)
            }
            OperationError::Contended { revision, error, .. } => step(
                Self::new(Code::Unavailable, Reason::LockTimeout, words)
                    .retry_after(Duration::from_secs(1)),
                &revision,
                &error,
            ),
            OperationError::Bookkeeping(_) => forbidden(
                Reason::BookkeepingFailed,
                "ledger",
                "the role must own the schema, or be allowed to create tables in it",
            ),
            OperationError::Unreachable { .. } => unreachable(),
            OperationError::Unreadable(_) => unreadable(words),
            OperationError::Stopping(_) => {
                Self::new(Code::Unavailable, Reason::ShuttingDown, words)
                    .retry_after(Duration::from_secs(1))
            }
        }
    }
}

/// Names each loss; the metadata have the first.
fn data_loss(words: String, losses: &[(String, Loss)]) -> Problem {
    let words = format!("{words}. Plan shows it; allow_data_loss goes on all the same");
    let mut problem = Problem::new(Code::FailedPrecondition, Reason::DataLoss, words);
    for (_, loss) in losses {
        problem = problem.precondition("DATA_LOSS", &loss.subject(), &loss.to_string());
    }
    let Some((revision, loss)) = losses.first() else { return problem };
    problem
        .with("revision", revision)
        .with("table", &loss.table)
        .with("column", loss.column.clone().unwrap_or_default())
        .with("rows", loss.rows.map(|rows| rows.to_string()).unwrap_or_default())
}

fn step(problem: Problem, revision: &str, error: &StatementError) -> Problem {
    problem
        .with("revision", revision)
        .with("statement", error.number.to_string())
        .with("line", error.line.to_string())
        .with("sqlstate", error.code.clone().unwrap_or_default())
}

impl From<ReadError> for Status {
    fn from(error: ReadError) -> Self {
        Problem::from(error).into()
    }
}

impl From<OperationError> for Status {
    fn from(error: OperationError) -> Self {
        Problem::from(error).into()
    }
}
