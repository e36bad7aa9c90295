//! What can go wrong.

mod problem;

use database::Unavailable;
use diesel::result::{DatabaseErrorKind, Error};
use wire::error_chain;

pub use self::problem::target_problem;
use crate::{
    engine::{EngineError, StatementError, Step},
    plan::Loss,
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

impl ReadError {
    /// The database's own words, where it answers, and says no.
    fn refusal(&self) -> Option<&str> {
        match self {
            Self::Query(Error::DatabaseError(kind, info))
                if !matches!(kind, DatabaseErrorKind::ClosedConnection) =>
            {
                Some(info.message())
            }
            _ => None,
        }
    }
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
    /// A step failed.
    #[error(
        "revision {revision} failed and {}: {error}",
        if *half { "stopped half way" } else { "was rolled back" }
    )]
    Step {
        /// The revision.
        revision: String,
        /// Outside a transaction: the statements before this one are committed.
        half: bool,
        /// The statement, and the database's words.
        error: StatementError,
    },
    /// A lock that a step needs stayed taken.
    #[error(
        "{}: a lock it needs could not be had in time: {error}",
        if *half { format!("revision {revision} stopped half way") }
        else { format!("nothing of {} is kept", step_name(revision)) }
    )]
    Contended {
        /// The revision.
        revision: String,
        /// Outside a transaction: the statements before this one are committed.
        half: bool,
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
    /// The database answers, and refuses to be read.
    #[error("the database cannot be read: {0}")]
    Unreadable(String),
    /// The server ends: no step was begun that it could not finish.
    #[error("the schema service is shutting down; {0}")]
    Stopping(String),
}

impl OperationError {
    /// What the log says: with the cause that no caller is told.
    pub fn with_cause(&self) -> String {
        match self {
            Self::Unreachable { cause } => cause.clone(),
            error => error.to_string(),
        }
    }
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
        match error.refusal() {
            Some(words) => Self::Unreadable(words.into()),
            None => Self::Unreachable { cause: error_chain(&error) },
        }
    }
}

impl From<diesel::result::Error> for OperationError {
    fn from(error: diesel::result::Error) -> Self {
        if database::is_busy(&error) {
            return EngineError::Contended(StatementError::of_bookkeeping(&error)).into();
        }
        ReadError::from(error).into()
    }
}

impl From<Unavailable> for OperationError {
    fn from(error: Unavailable) -> Self {
        ReadError::from(error).into()
    }
}

impl From<EngineError> for OperationError {
    /// What went wrong in a session, in no step.
    fn from(error: EngineError) -> Self {
        Self::at("", false, error)
    }
}

impl OperationError {
    /// What went wrong in a step of a session.
    pub fn in_step(step: &Step, error: EngineError) -> Self {
        Self::at(&step.revision.id, !step.revision.transactional, error)
    }

    fn at(revision: &str, half: bool, error: EngineError) -> Self {
        let revision = revision.to_owned();
        match error {
            EngineError::Statement(error) => Self::Step { revision, half, error },
            EngineError::Contended(error) => Self::Contended { revision, half, error },
            EngineError::Dependents(names) => Self::Dependents(names),
            EngineError::Bookkeeping(cause) => Self::Bookkeeping(cause),
            EngineError::Unreachable(cause) => Self::Unreachable { cause },
            EngineError::Abandoned => Self::Stopping(match half {
                true => format!(
                    "{} was stopped half way: what is committed of it is kept, and the next \
                     operation goes on behind it",
                    step_name(&revision)
                ),
                false => format!("{} was rolled back", step_name(&revision)),
            }),
            EngineError::LockLost => Self::Unreachable { cause: EngineError::LockLost.to_string() },
        }
    }
}

fn step_name(revision: &str) -> String {
    if revision.is_empty() { "the operation".into() } else { format!("revision {revision}") }
}
