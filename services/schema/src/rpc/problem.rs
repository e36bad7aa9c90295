//! Errors on the wire: one code, one reason and what to do, for each error of the layers below.

use analysis::Loss;
use std::time::Duration;

use api::Reason;
use revisions::TargetError;
use tonic::{Code, Status};
use wire::{Problem, error_chain};

use crate::{
    engine::{EngineError, StatementError},
    observer::{InspectError, ReadError},
    operations::{OperationError, StepError},
    plan::PlanError,
};

/// When to try again where nothing says better.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Logs the cause, which no caller receives.
pub fn logged(error: ReadError) -> Problem {
    tracing::warn!(error = error_chain(&error), "cannot read the database");
    error.into()
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        read_problem(&error)
    }
}

fn read_problem(error: &ReadError) -> Problem {
    match error.refusal() {
        Some(_) => transient(Reason::DatabaseUnreadable, error.message()),
        None => unreachable(),
    }
}

fn unreachable() -> Problem {
    transient(
        Reason::DatabaseUnreachable,
        "schema service cannot reach its database; its log has the cause",
    )
}

fn transient(reason: Reason, message: impl Into<String>) -> Problem {
    Problem::new(Code::Unavailable, reason, message).retry_after(RETRY_DELAY)
}

/// FAILED_PRECONDITION with what forbids the call, and what to do.
fn forbidden(reason: Reason, subject: &str, message: &str, advice: &str) -> Problem {
    Problem::new(Code::FailedPrecondition, reason, format!("{message}; {advice}")).precondition(
        reason.as_str(),
        subject,
        message,
    )
}

impl From<InspectError> for Problem {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::Read(error) => logged(error),
            InspectError::NotDescribed(revision) => not_described(&revision),
        }
    }
}

fn not_described(revision: &str) -> Problem {
    forbidden(
        Reason::CatalogNotDescribed,
        revision,
        &format!("revision {revision} has no expected catalog"),
        "deploy the build that holds it, write its catalog.txt with \"schema describe\", or force the \
         stamp",
    )
}

/// The problem with a target, at the field of the request that has it.
pub fn target_problem(field: &str, error: TargetError) -> Problem {
    let message = error.to_string();
    let invalid = |reason: Reason| Problem::invalid(field, reason, message.as_str());
    match error {
        TargetError::Malformed(_) => invalid(Reason::TargetMalformed),
        TargetError::Ambiguous { .. } => invalid(Reason::TargetAmbiguous),
        TargetError::Relative(_) => invalid(Reason::TargetRelative),
        TargetError::Unknown { target, .. } => {
            Problem::new(Code::NotFound, Reason::RevisionUnknown, message).with("target", target)
        }
        TargetError::Past { target, .. } => {
            Problem::new(Code::NotFound, Reason::TargetPastTheEnd, message).with("target", target)
        }
        TargetError::Behind { target, current } => {
            Problem::new(Code::FailedPrecondition, Reason::TargetBehind, message)
                .with("target", target)
                .with("current", current)
        }
        TargetError::Ahead { target, current } => {
            Problem::new(Code::FailedPrecondition, Reason::TargetAhead, message)
                .with("target", target)
                .with("current", current)
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        let message = error.to_string();
        match error {
            PlanError::Target(error) => target_problem("target", error),
            PlanError::Unknown(revisions) => forbidden(
                Reason::RevisionsUnknown,
                &revisions,
                &message,
                "deploy the newer schema service, or run \"schema downgrade\" to a revision that this \
                 build holds",
            )
            .with("unknown", revisions.as_str()),
            PlanError::OutOfOrder { revisions, .. } => forbidden(
                Reason::RevisionsOutOfOrder,
                &revisions,
                &message,
                "give them newer numbers, or run \"schema downgrade\" to a revision below the first \
                 of them",
            )
            .with("out_of_order", revisions.as_str()),
            PlanError::Altered(revisions) => forbidden(
                Reason::RevisionsAltered,
                &revisions,
                &message,
                "deploy the build that applied them, or run \"schema repair\" for each",
            )
            .with("altered", revisions.as_str()),
            PlanError::HalfDone(message) => {
                Problem::new(Code::FailedPrecondition, Reason::RevisionHalfDone, message)
            }
            PlanError::Unmanaged(message) => {
                Problem::new(Code::FailedPrecondition, Reason::DatabaseUnmanaged, message)
            }
            PlanError::NoText(revision) => forbidden(
                Reason::RevisionHasNoText,
                &revision,
                &message,
                "deploy the build that holds it",
            )
            .with("revision", revision.as_str()),
            PlanError::Read(error) => read_problem(&error),
        }
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let message = error.to_string();
        match error {
            OperationError::Plan(error) => error.into(),
            OperationError::Read(error) => read_problem(&error),
            OperationError::Session(error) => session_problem(&message, error),
            OperationError::Step(error) => step_problem(&message, error),
            OperationError::Dependents(names) => dependents_problem(&message, &names),
            OperationError::NotAltered(revision) => {
                forbidden(Reason::RevisionNotAltered, &revision, &message, "nothing to repair")
            }
            OperationError::CatalogDiffers { revision, differences, matching } => {
                let reason = Reason::CatalogDiffers;
                let advice = match matching {
                    Some(matching) => {
                        format!("run \"schema stamp {matching}\", whose catalog it is")
                    }
                    None => "fix each difference, or force the stamp".into(),
                };
                let message = format!("{message}; {advice}");
                let each = |problem: Self, difference: &String| {
                    problem.precondition(reason.as_str(), &revision, difference)
                };
                let problem = Problem::new(Code::FailedPrecondition, reason, message);
                differences.iter().fold(problem, each).with("revision", revision.as_str())
            }
            OperationError::NotDescribed(revision) => not_described(&revision),
            OperationError::Busy { running } => {
                Problem::new(Code::Aborted, Reason::OperationRunning, message)
                    .with("running", running)
                    .retry_after(RETRY_DELAY)
            }
            OperationError::Expected { expected, actual } => {
                let message = format!("{message}; run \"schema current\", then retry");
                Problem::new(Code::Aborted, Reason::CurrentIsAnother, message)
                    .with("expected", expected)
                    .with("current", actual)
            }
            OperationError::DataLoss(losses) => data_loss(&message, &losses),
            OperationError::PlanChanged => {
                let message = format!("{message}; run \"schema plan\" and review it again");
                Problem::new(Code::Aborted, Reason::PlanChanged, message)
            }
            OperationError::Panicked => Self::internal(),
            OperationError::Shutdown(_) => transient(Reason::ShuttingDown, message),
        }
    }
}

fn session_problem(message: &str, error: EngineError) -> Problem {
    match error {
        EngineError::Unreachable(_) | EngineError::LockLost | EngineError::QueryCancelled(_) => {
            unreachable()
        }
        EngineError::Bookkeeping(_) => forbidden(
            Reason::BookkeepingFailed,
            "ledger",
            message,
            "use a role that owns the schema or may create tables in it",
        ),
        EngineError::NewerLayout(newer) => {
            Problem::new(Code::FailedPrecondition, Reason::BookkeepingNewer, message)
                .precondition(Reason::BookkeepingNewer.as_str(), "layout", message)
                .with("layout", newer.found.to_string())
                .with("build", newer.build)
        }
        EngineError::Contended(error) => contended(message, "", &error),
        EngineError::Statement(error) => step_failed(message, "", false, &error),
        EngineError::Dependents(names) => dependents_problem(message, &names),
        EngineError::Cancelled => transient(Reason::ShuttingDown, message),
    }
}

fn step_problem(message: &str, error: StepError) -> Problem {
    let StepError { revision, is_half_done, error } = error;
    match error {
        EngineError::Statement(error) => step_failed(message, &revision, is_half_done, &error),
        EngineError::Contended(error) => contended(message, &revision, &error),
        error => session_problem(message, error),
    }
}

fn step_failed(
    message: &str,
    revision: &str,
    is_half_done: bool,
    error: &StatementError,
) -> Problem {
    let advice = if is_half_done {
        "fix what stopped it and run it again: it continues at this statement"
    } else {
        "fix the migration and run it again"
    };
    at_statement(forbidden(Reason::StepFailed, revision, message, advice), revision, error)
}

fn contended(message: &str, revision: &str, error: &StatementError) -> Problem {
    at_statement(transient(Reason::LockTimeout, message), revision, error)
}

fn at_statement(problem: Problem, revision: &str, error: &StatementError) -> Problem {
    problem
        .with("revision", revision)
        .with("statement", error.number.to_string())
        .with("line", error.line.to_string())
        .with("sqlstate", error.sqlstate.clone().unwrap_or_default())
}

fn dependents_problem(message: &str, names: &str) -> Problem {
    forbidden(
        Reason::DependentsWouldBreak,
        names,
        message,
        "stop them, deploy builds of them that can run on the result, or use --force",
    )
    .with("dependents", names)
}

/// Names each loss; the metadata have the first.
fn data_loss(message: &str, losses: &[(String, Loss)]) -> Problem {
    let reason = Reason::DataLoss;
    let message = format!("{message}; run \"schema plan\" for details, or use --allow-data-loss");
    let mut problem = Problem::new(Code::FailedPrecondition, reason, message);
    for (_, loss) in losses {
        problem = problem.precondition(reason.as_str(), &loss.subject(), &loss.to_string());
    }
    let Some((revision, loss)) = losses.first() else { return problem };
    problem
        .with("revision", revision)
        .with("table", &loss.table)
        .with("column", loss.column.clone().unwrap_or_default())
        .with("rows", loss.rows.map(|rows| rows.to_string()).unwrap_or_default())
}

/// The answer to a call.
pub fn status(error: impl Into<Problem>) -> Status {
    error.into().into()
}
