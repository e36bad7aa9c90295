//! Why an operation did not run, or did not run to its end.

use analysis::Loss;
use std::{fmt, sync::Arc};

use database::{self, PoolError};
use wire::error_chain;

use crate::{
    display::revision_name,
    engine::{EngineError, StatementError, Step},
    observer::ReadError,
    plan::PlanError,
};

/// The refusal or failure of an operation. Lists of names are for people.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperationError {
    #[error(transparent)]
    Plan(PlanError),
    #[error("{}", .0.message())]
    Read(Arc<ReadError>),
    /// The session failed outside any step.
    #[error("{}", describe_session(.0))]
    Session(EngineError),
    /// The session failed in a step.
    #[error(transparent)]
    Step(StepError),
    /// Live dependents would break.
    #[error("live dependents would break: {0}")]
    Dependents(String),
    /// A Repair of a revision that is not altered.
    #[error("revision {0} was applied with the text that this build holds")]
    NotAltered(String),
    /// A Stamp of a revision whose catalog is another one.
    #[error("the database does not match the catalog recorded for {revision}: {}", differences.join("; "))]
    CatalogDiffers {
        revision: String,
        /// Each names the object.
        differences: Vec<String>,
        /// The revision whose catalog it is, if there is one.
        matching: Option<String>,
    },
    #[error("revision {0} has no expected catalog")]
    NotDescribed(String),
    /// Another operation runs, and the wait for it is over.
    #[error("another operation is running: {running}")]
    Busy { running: String },
    /// Another revision is current than the request expects.
    #[error("current revision is {}, not {}", revision_name(actual), revision_name(expected))]
    Expected { expected: String, actual: String },
    /// Rows or values would be lost, each by a revision.
    #[error("data would be lost: {}", list(.0))]
    DataLoss(Vec<(String, Loss)>),
    /// The plan has changed since it was reviewed.
    #[error("plan has changed since it was reviewed")]
    PlanChanged,
    /// The task of the operation panicked.
    #[error("operation ended without an outcome; the server's log has the cause")]
    Panicked,
    /// The server shuts down.
    #[error("schema service is shutting down; {0}")]
    Shutdown(String),
}

/// A step that did not commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StepError {
    pub revision: String,
    /// Whether the statements before the failed one are committed: the step has no transaction.
    pub is_half_done: bool,
    pub error: EngineError,
}

impl OperationError {
    /// What went wrong in a step of a session.
    pub fn in_step(step: &Step, error: EngineError) -> Self {
        let (revision, is_half_done) = (step.revision.id.to_string(), !step.revision.transactional);
        match error {
            EngineError::Dependents(names) => Self::Dependents(names),
            EngineError::Cancelled if is_half_done => Self::Shutdown(format!(
                "revision {revision} was stopped half way: its committed statements are kept, and the \
                 next operation continues after them"
            )),
            EngineError::Cancelled => {
                Self::Shutdown(format!("revision {revision} was rolled back"))
            }
            error => Self::Step(StepError { revision, is_half_done, error }),
        }
    }

    /// Whether a lock of the database was not free, so that trying again may help.
    pub const fn is_contention(&self) -> bool {
        matches!(self, Self::Session(EngineError::Contended(_)))
    }

    /// Whether the same operation may succeed later without a change by a person.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Plan(error) => matches!(error, PlanError::Read(_)),
            Self::Session(error) | Self::Step(StepError { error, .. }) => matches!(
                error,
                EngineError::Contended(_)
                    | EngineError::Unreachable(_)
                    | EngineError::QueryCancelled(_)
                    | EngineError::LockLost
            ),
            Self::Read(_)
            | Self::Busy { .. }
            | Self::Expected { .. }
            | Self::PlanChanged
            | Self::Shutdown(_) => true,
            Self::Dependents(_)
            | Self::NotAltered(_)
            | Self::CatalogDiffers { .. }
            | Self::NotDescribed(_)
            | Self::DataLoss(_)
            | Self::Panicked => false,
        }
    }

    /// Why the database could not be reached, for the log: it may name hosts and users.
    pub fn unreachable_cause(&self) -> Option<String> {
        match self {
            Self::Read(error) | Self::Plan(PlanError::Read(error)) => {
                error.refusal().is_none().then(|| error_chain(error))
            }
            Self::Session(error) | Self::Step(StepError { error, .. }) => match error {
                EngineError::Unreachable(cause) | EngineError::QueryCancelled(cause) => {
                    Some(cause.clone())
                }
                EngineError::LockLost => Some(error.to_string()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Logs an operation that did not succeed. Refusals are the caller's to act on.
    pub fn log(&self) {
        if let Some(cause) = self.unreachable_cause() {
            tracing::error!(cause, "operation failed: cannot reach the database");
            return;
        }
        match self {
            Self::Session(EngineError::Contended(_))
            | Self::Step(StepError { error: EngineError::Contended(_), .. })
            | Self::Shutdown(_) => tracing::warn!(error = %self, "operation did not complete"),
            Self::Read(_) | Self::Session(_) | Self::Step(_) | Self::Panicked => {
                tracing::error!(error = %self, "operation failed");
            }
            Self::Plan(_)
            | Self::Dependents(_)
            | Self::NotAltered(_)
            | Self::CatalogDiffers { .. }
            | Self::NotDescribed(_)
            | Self::Busy { .. }
            | Self::Expected { .. }
            | Self::DataLoss(_)
            | Self::PlanChanged => tracing::info!(reason = %self, "operation refused"),
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, is_half_done, error } = self;
        let end = if *is_half_done { "stopped half way" } else { "was rolled back" };
        match error {
            EngineError::Statement(error) => {
                write!(f, "revision {revision} failed and {end}: {error}")
            }
            EngineError::Contended(error) => {
                write!(f, "revision {revision} could not get a lock and {end}: {error}")
            }
            error => f.write_str(&describe_session(error)),
        }
    }
}

impl std::error::Error for StepError {}

/// An error without a cause that may name hosts and users.
fn describe_session(error: &EngineError) -> String {
    match error {
        EngineError::Unreachable(_) | EngineError::LockLost | EngineError::QueryCancelled(_) => {
            "schema service cannot reach its database".into()
        }
        EngineError::Contended(error) => format!("operation could not get a lock: {error}"),
        error => error.to_string(),
    }
}

/// As many as people read.
fn list(losses: &[(String, Loss)]) -> String {
    const MAX_LISTED: usize = 10;
    let mut parts: Vec<String> = losses
        .iter()
        .take(MAX_LISTED)
        .map(|(revision, loss)| format!("{loss} by {revision}"))
        .collect();
    if losses.len() > MAX_LISTED {
        parts.push(format!("and {} more", losses.len() - MAX_LISTED));
    }
    parts.join(", ")
}

impl From<EngineError> for OperationError {
    fn from(error: EngineError) -> Self {
        Self::Session(error)
    }
}

impl From<ReadError> for OperationError {
    fn from(error: ReadError) -> Self {
        contention(&error).unwrap_or_else(|| Self::Read(Arc::new(error)))
    }
}

impl From<PlanError> for OperationError {
    fn from(error: PlanError) -> Self {
        match &error {
            PlanError::Read(read) => contention(read).unwrap_or(Self::Plan(error)),
            _ => Self::Plan(error),
        }
    }
}

impl From<diesel::result::Error> for OperationError {
    fn from(error: diesel::result::Error) -> Self {
        ReadError::from(error).into()
    }
}

impl From<PoolError> for OperationError {
    fn from(error: PoolError) -> Self {
        ReadError::from(error).into()
    }
}

/// SQLite's single writer may keep even a reader waiting.
fn contention(error: &ReadError) -> Option<OperationError> {
    let ReadError::Query(error) = error else { return None };
    let refusal = || StatementError::of_bookkeeping(error.to_string());
    database::is_busy(error).then(|| EngineError::Contended(refusal()).into())
}
