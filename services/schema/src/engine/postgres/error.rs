//! From PostgreSQL's errors to the engine's.

use sql::{Statement, line_of};
use tokio_postgres::error::{ErrorPosition, SqlState};

use super::{
    super::{EngineError, StatementError, Step, error::summary},
    message::{message, message_or_cause},
};

/// The error of a statement of a revision.
pub(super) fn refused(
    step: &Step,
    statement: &Statement<'_>,
    number: usize,
    error: &tokio_postgres::Error,
    blocked_by: &[String],
) -> EngineError {
    let Some(server) = error.as_db_error() else {
        return unreachable(error);
    };
    let line = match server.position() {
        Some(ErrorPosition::Original(position)) => {
            let within: usize =
                statement.text.chars().take(*position as usize - 1).map(char::len_utf8).sum();
            line_of(step.sql(), statement.offset + within)
        }
        _ => statement.line,
    };
    let refusal = StatementError {
        number,
        line,
        statement: summary(statement.text),
        message: message(server),
        sqlstate: Some(server.code().code().to_owned()),
        blocked_by: blocked_by.to_vec(),
    };
    if is_contention(server.code()) {
        EngineError::Contended(refusal)
    } else {
        EngineError::Statement(refusal)
    }
}

fn is_contention(code: &SqlState) -> bool {
    [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
    ]
    .contains(code)
}

/// The error of a query of ours that only reads or begins a transaction.
pub(super) fn unreachable(error: &tokio_postgres::Error) -> EngineError {
    let message = message_or_cause(error);
    if error.code() == Some(&SqlState::QUERY_CANCELED) {
        EngineError::QueryCancelled(message)
    } else {
        EngineError::Unreachable(message)
    }
}

/// The error of a write to the bookkeeping.
pub(super) fn bookkeeping(error: &tokio_postgres::Error) -> EngineError {
    let message = message_or_cause(error);
    if error.code().is_some_and(is_contention) {
        EngineError::Contended(StatementError::of_bookkeeping(message))
    } else {
        EngineError::Bookkeeping(message)
    }
}
