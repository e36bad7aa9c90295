//! Why a plan cannot be made.

use std::sync::Arc;

use database::PoolError;
use revisions::TargetError;

use crate::observer::ReadError;

/// Why nothing can be planned. Lists of revisions are for people.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Applied revisions that this build does not hold.
    #[error("database has revisions that this build does not hold: {0}")]
    Unknown(String),
    /// Pending revisions that are older than an applied one.
    #[error("revisions are pending although {current} is applied: {revisions}")]
    OutOfOrder { revisions: String, current: String },
    /// Applied revisions whose held text is another one.
    #[error("revisions were applied with another text than this build holds: {0}")]
    Altered(String),
    /// A step in the other direction is half done.
    #[error("{0}")]
    HalfDone(String),
    /// Another tool made the database.
    #[error("{0}")]
    Unmanaged(String),
    /// A revision to revert has no text anywhere.
    #[error("neither this build nor the ledger has the down.sql of revision {0}")]
    NoText(String),
    #[error("{}", .0.message())]
    Read(Arc<ReadError>),
}

impl From<ReadError> for PlanError {
    fn from(error: ReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}

impl From<diesel::result::Error> for PlanError {
    fn from(error: diesel::result::Error) -> Self {
        ReadError::from(error).into()
    }
}

impl From<PoolError> for PlanError {
    fn from(error: PoolError) -> Self {
        ReadError::from(error).into()
    }
}
