//! Why the state of a database could not be read.

use database::{ErrorClass, PoolError, classify, sqlstate};
use diesel::result::Error;

/// The database could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A connection could not be opened.
    #[error(transparent)]
    Unavailable(#[from] PoolError),
    /// A query failed.
    #[error("cannot read the database")]
    Query(#[from] Error),
    /// The read that this caller shared with others failed.
    #[error("{0}")]
    Shared(String),
}

impl ReadError {
    /// The message of a database that answers and refuses. None where it cannot be reached.
    pub fn refusal(&self) -> Option<String> {
        let Self::Query(error) = self else { return None };
        let has_answered = matches!(error, Error::DatabaseError(..)) || sqlstate(error).is_some();
        let is_lost = classify(error) == ErrorClass::ConnectionLost;
        (has_answered && !is_lost).then(|| error.to_string())
    }

    /// The message for callers, without the cause, which may name hosts and users.
    pub fn message(&self) -> String {
        match self.refusal() {
            Some(refusal) => format!("cannot read the database: {refusal}"),
            None => "schema service cannot reach its database".into(),
        }
    }
}

/// The live catalog could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("cannot read the live catalog")]
    Read(#[from] ReadError),
    /// The current revision has no catalog to compare with.
    #[error("revision {0} has no expected catalog")]
    NotDescribed(String),
}

impl From<Error> for InspectError {
    fn from(error: Error) -> Self {
        ReadError::from(error).into()
    }
}
