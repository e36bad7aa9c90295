//! From Diesel's errors on SQLite to the engine's.

use database::is_busy;

use super::super::{EngineError, StatementError, error::summary};

impl From<diesel::result::Error> for EngineError {
    /// Of the transaction's own statements: BEGIN IMMEDIATE finds the database busy.
    fn from(error: diesel::result::Error) -> Self {
        refused(0, 1, "BEGIN IMMEDIATE", &error)
    }
}

/// The error of a write to the bookkeeping.
pub(super) fn bookkeeping(error: diesel::result::Error) -> EngineError {
    if is_busy(&error) {
        return EngineError::Contended(StatementError::of_bookkeeping(error.to_string()));
    }
    EngineError::Bookkeeping(error.to_string())
}

/// The error of a statement of a revision.
pub(super) fn refused(
    number: usize,
    line: usize,
    statement: &str,
    error: &diesel::result::Error,
) -> EngineError {
    let refusal = StatementError {
        number,
        line,
        statement: summary(statement),
        message: error.to_string(),
        sqlstate: None,
        blocked_by: Vec::new(),
    };
    if is_busy(error) { EngineError::Contended(refusal) } else { EngineError::Statement(refusal) }
}
