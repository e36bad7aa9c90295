//! What can go wrong, and what a client reads of it: one code, one reason, words with a way out.

use std::time::Duration;

use common::{
    database::{self, Unavailable, chain},
    status::Problem,
};
use tonic::{Code, Status};

use crate::{
    engine::{EngineError, StatementError},
    plan::Loss,
    state::name,
    target::TargetError,
};

/// The database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No connection.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A query failed.
    #[error("the database could not be read")]
    Query(#[from] diesel::result::Error),
    /// The look that this caller shared with others failed.
    #[error("{0}")]
    Shared(String),
}

/// Why an operation did not run, or did not run to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperationError {
    /// The target leads nowhere.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The database has revisions that this service does not hold.
    #[error("the database has revisions that this service does not hold: {0}")]
    Unknown(String),
    /// Pending revisions are older than applied ones.
    #[error("pending, although {current} is applied: {revisions}")]
    OutOfOrder {
        /// Those pending.
        revisions: String,
        /// The newest applied.
        current: String,
    },
    /// Applied revisions have another text here.
    #[error("applied with another text than this service holds: {0}")]
    Altered(String),
    /// Live dependents would break.
    #[error("live dependents would break: {0}")]
    Dependents(String),
    /// A Repair of what is as it should be.
    #[error("revision {0} was applied with the text that this service holds")]
    NotAltered(String),
    /// A step the other way is half done.
    #[error("{0}")]
    HalfDone(String),
    /// Something else made the database.
    #[error("{0}")]
    Unmanaged(String),
    /// A Stamp of what the database is not.
    #[error("the database does not look like {revision}: {}", differences.join("; "))]
    LooksDifferent {
        /// What it was to be stamped as.
        revision: String,
        /// What differs, each by name.
        differences: Vec<String>,
        /// The revision that it looks like, if there is one.
        fits: Option<String>,
    },
    /// A revision came without a description of its catalog.
    #[error("nothing here says what revision {0} leaves behind")]
    NotDescribed(String),
    /// A revision that is to be reverted has no text anywhere.
    #[error("revision {0} is applied, and neither this service nor the ledger has its down.sql")]
    NoText(String),
    /// Another operation runs, and the wait for it is over.
    #[error("another operation runs: {running}")]
    Busy {
        /// What runs.
        running: String,
    },
    /// The caller believed in another revision.
    #[error("the current revision is {actual}, not {expected}")]
    Expected {
        /// What the caller believed.
        expected: String,
        /// What is.
        actual: String,
    },
    /// Rows or values would be lost, each by a revision.
    #[error("data would be lost: {}", list(.0))]
    DataLoss(Vec<(String, Loss)>),
    /// The plan that was reviewed is not the one that would run.
    #[error("the plan is another one now than the one that was reviewed")]
    PlanChanged,
    /// A step failed, and was rolled back whole.
    #[error("revision {revision} failed and was rolled back: {error}")]
    Step {
        /// The revision.
        revision: String,
        /// The statement, and the database's words.
        error: StatementError,
    },
    /// A lock that a step needs stayed taken.
    #[error(
        "nothing of {} is kept: a lock it needs could not be had in time: {error}",
        step_name(revision)
    )]
    Contended {
        /// The revision.
        revision: String,
        /// The statement, and the database's words.
        error: StatementError,
    },
    /// The bookkeeping cannot be written.
    #[error("the bookkeeping tables cannot be made or written: {0}")]
    Bookkeeping(String),
    /// The database cannot be reached, or was lost.
    #[error("the database cannot be reached")]
    Unreachable {
        /// For the log: it may name hosts and users.
        cause: String,
    },
    /// The server ends: no step was begun that it could not finish.
    #[error("the schema service is shutting down; {0}")]
    Stopping(String),
}

/// As many as people read.
fn list(losses: &[(String, Loss)]) -> String {
    const MOST: usize = 10;
    let mut words: Vec<String> =
        losses.iter().take(MOST).map(|(revision, loss)| format!("{loss} by {revision}")).collect();
    if losses.len() > MOST {
        words.push(format!("and {} more", losses.len() - MOST));
    }
    words.join(", ")
}

impl From<ReadError> for OperationError {
    fn from(error: ReadError) -> Self {
        Self::Unreachable { cause: chain(&error) }
    }
}

impl From<diesel::result::Error> for OperationError {
    fn from(error: diesel::result::Error) -> Self {
        if database::is_busy(&error) {
            return Self::at("", EngineError::Contended(StatementError::of_bookkeeping(&error)));
        }
        ReadError::from(error).into()
    }
}

impl From<Unavailable> for OperationError {
    fn from(error: Unavailable) -> Self {
        ReadError::from(error).into()
    }
}

impl OperationError {
    /// What went wrong in a session, at a revision.
    pub fn at(revision: &str, error: EngineError) -> Self {
        let revision = revision.to_owned();
        match error {
            EngineError::Statement(error) => Self::Step { revision, error },
            EngineError::Contended(error) => Self::Contended { revision, error },
            EngineError::Dependents(names) => Self::Dependents(names),
            EngineError::Bookkeeping(cause) => Self::Bookkeeping(cause),
            EngineError::Unreachable(cause) => Self::Unreachable { cause },
            EngineError::LockLost => Self::Unreachable { cause: EngineError::LockLost.to_string() },
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::warn!(error = chain(&error), "the database cannot be read");
        unreachable()
    }
}

fn unreachable() -> Problem {
    Problem::new(
        Code::Unavailable,
        "DATABASE_UNREACHABLE",
        "the schema service cannot reach its database; its log says why",
    )
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
        TargetError::Malformed(_) => Problem::invalid(field, "TARGET_MALFORMED", words),
        TargetError::Ambiguous { .. } => Problem::invalid(field, "TARGET_AMBIGUOUS", words),
        TargetError::Relative(_) => Problem::invalid(field, "TARGET_RELATIVE", words),
        TargetError::Unknown { target, .. } => {
            Problem::new(Code::NotFound, "REVISION_UNKNOWN", words).with("target", target)
        }
        TargetError::Past { target, .. } => {
            Problem::new(Code::NotFound, "TARGET_PAST_THE_END", words).with("target", target)
        }
        TargetError::Behind { target, current } => Problem::new(
            Code::FailedPrecondition,
            "TARGET_BEHIND",
            format!("{words}: call Downgrade"),
        )
        .with("target", target)
        .with("current", current),
        TargetError::Ahead { target, current } => {
            Problem::new(Code::FailedPrecondition, "TARGET_AHEAD", format!("{words}: call Upgrade"))
                .with("target", target)
                .with("current", current)
        }
    }
}

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let words = error.to_string();
        let forbidden = |reason, subject: &str, way_out: &str| {
            Self::new(Code::FailedPrecondition, reason, format!("{words}: {way_out}"))
                .precondition(reason, subject, &words)
        };
        match error {
            OperationError::Target(error) => error.into(),
            OperationError::Unknown(revisions) => forbidden(
                "REVISIONS_UNKNOWN",
                &revisions,
                "deploy the newer schema service, or Downgrade to what this one holds",
            )
            .with("unknown", revisions.clone()),
            OperationError::OutOfOrder { revisions, .. } => forbidden(
                "REVISIONS_OUT_OF_ORDER",
                &revisions,
                "give them newer numbers, or Downgrade below the first of them",
            )
            .with("out_of_order", revisions.clone()),
            OperationError::Altered(revisions) => forbidden(
                "REVISIONS_ALTERED",
                &revisions,
                "deploy the build that applied them, or Repair them",
            )
            .with("altered", revisions.clone()),
            OperationError::Dependents(names) => forbidden(
                "DEPENDENTS_WOULD_BREAK",
                &names,
                "stop them, deploy builds of them that can run on the result, or force it",
            )
            .with("dependents", names.clone()),
            OperationError::NotAltered(revision) => {
                forbidden("REVISION_NOT_ALTERED", &revision, "there is nothing to repair")
            }
            OperationError::HalfDone(_) => {
                Self::new(Code::FailedPrecondition, "REVISION_HALF_DONE", words)
            }
            OperationError::Unmanaged(_) => {
                Self::new(Code::FailedPrecondition, "DATABASE_UNMANAGED", words)
            }
            OperationError::LooksDifferent { revision, differences, fits } => {
                let way_out = match fits {
                    Some(fits) => format!("Stamp {fits}, which it looks like"),
                    None => "mend each of these, or force it".into(),
                };
                let problem = Self::new(
                    Code::FailedPrecondition,
                    "CATALOG_DIFFERS",
                    format!("{words}: {way_out}"),
                );
                let each = |problem: Self, what: &String| {
                    problem.precondition("CATALOG_DIFFERS", &revision, what)
                };
                differences.iter().fold(problem, each).with("revision", revision.clone())
            }
            OperationError::NotDescribed(revision) => forbidden(
                "CATALOG_NOT_DESCRIBED",
                &revision,
                "deploy the build that holds it, write its catalog.txt with `schema describe`, or \
                 force a Stamp",
            ),
            OperationError::NoText(revision) => {
                forbidden("REVISION_HAS_NO_TEXT", &revision, "deploy the build that holds it")
                    .with("revision", revision.clone())
            }
            OperationError::Busy { running } => {
                Self::new(Code::Aborted, "OPERATION_RUNNING", words)
                    .with("running", running)
                    .retry_after(Duration::from_secs(1))
            }
            OperationError::Expected { expected, actual } => {
                let words = format!(
                    "the current revision is {}, not {}: look again, and decide anew",
                    name(&actual),
                    name(&expected)
                );
                Self::new(Code::Aborted, "CURRENT_IS_ANOTHER", words)
                    .with("expected", expected)
                    .with("current", actual)
            }
            OperationError::DataLoss(losses) => data_loss(words, &losses),
            OperationError::PlanChanged => Self::new(
                Code::Aborted,
                "PLAN_CHANGED",
                format!("{words}: call Plan again, and decide anew"),
            ),
            OperationError::Step { revision, error } => step(
                forbidden("STEP_FAILED", &revision, "mend the migration, then Upgrade again"),
                &revision,
                &error,
            ),
            OperationError::Contended { revision, error } => step(
                Self::new(Code::Unavailable, "LOCK_TIMEOUT", words)
                    .retry_after(Duration::from_secs(1)),
                &revision,
                &error,
            ),
            OperationError::Bookkeeping(_) => forbidden(
                "BOOKKEEPING_FAILED",
                "ledger",
                "the role must own the schema, or be allowed to create tables in it",
            ),
            OperationError::Unreachable { .. } => unreachable(),
            OperationError::Stopping(_) => Self::new(Code::Unavailable, "SHUTTING_DOWN", words)
                .retry_after(Duration::from_secs(1)),
        }
    }
}

fn step_name(revision: &str) -> String {
    if revision.is_empty() { "the operation".into() } else { format!("revision {revision}") }
}

/// Names each loss; the metadata have the first.
fn data_loss(words: String, losses: &[(String, Loss)]) -> Problem {
    let words = format!("{words}. Plan shows it; allow_data_loss goes on all the same");
    let mut problem = Problem::new(Code::FailedPrecondition, "DATA_LOSS", words);
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
