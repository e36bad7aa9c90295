//! What an error of the database comes down to, decided by its code and never by its text: a
//! server's texts are in the server's language.

use std::fmt;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};
use libsqlite3_sys::{SQLITE_BUSY, SQLITE_IOERR, SQLITE_LOCKED, SQLITE_SCHEMA, code_to_str};
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use wire::error_chain;

/// What an error of the database comes down to, for the one who decides whether to try again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorClass {
    /// The connection broke, or the server ended it.
    ConnectionLost,
    /// Others hold a lock for too long, or the statement was cancelled: a retry may succeed.
    Busy,
    /// The schema is not the one that the statement was written for.
    SchemaMismatch,
    /// Anything else: a constraint, a value, a mistake in the statement.
    Other,
}

/// Classifies an error of either database.
///
/// It is for fixed and tested statements: one that the server cannot parse met another schema.
pub fn classify(error: &Error) -> ErrorClass {
    match error {
        Error::BrokenTransactionManager
        | Error::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _,
        ) => ErrorClass::ConnectionLost,
        Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => ErrorClass::Busy,
        Error::DatabaseError(DatabaseErrorKind::Unknown, info) => classify_sqlite(info.message()),
        error => sqlstate(error).map_or(ErrorClass::Other, classify_code),
    }
}

/// The SQLSTATE of PostgreSQL's refusal, where Diesel has no kind of error for it.
pub fn sqlstate(error: &Error) -> Option<&SqlState> {
    match error {
        Error::QueryBuilderError(error) => {
            error.downcast_ref::<ServerError>().map(|ServerError(error)| error.code())
        }
        _ => None,
    }
}

/// The character of the statement, from 1, that PostgreSQL points at.
pub fn statement_position(error: &Error) -> Option<usize> {
    let position = match error {
        Error::DatabaseError(_, info) => info.statement_position(),
        Error::QueryBuilderError(error) => {
            error.downcast_ref::<ServerError>()?.statement_position()
        }
        _ => None,
    };
    usize::try_from(position?).ok()
}

/// Whether SQLite was busy with another connection's write.
pub fn is_busy(error: &Error) -> bool {
    classify(error) == ErrorClass::Busy
}

/// Classifies a code of PostgreSQL's:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub fn classify_code(code: &SqlState) -> ErrorClass {
    match *code {
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::QUERY_CANCELED => ErrorClass::Busy,
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::DATABASE_DROPPED
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        | SqlState::IDLE_SESSION_TIMEOUT => ErrorClass::ConnectionLost,
        // "cached plan must not change result type": no statement of ours asks for what the server
        // cannot do.
        SqlState::FEATURE_NOT_SUPPORTED
        // "cache lookup failed for type", of one that was dropped meanwhile.
        | SqlState::INTERNAL_ERROR
        | SqlState::INVALID_SCHEMA_NAME => ErrorClass::SchemaMismatch,
        // A privilege that is missing does not come back with another schema.
        SqlState::INSUFFICIENT_PRIVILEGE => ErrorClass::Other,
        ref code => match &code.code()[..2] {
            // Connection exception.
            "08" => ErrorClass::ConnectionLost,
            // Syntax error or access rule violation: a column, a table, a function is not there.
            "42" => ErrorClass::SchemaMismatch,
            _ => ErrorClass::Other,
        },
    }
}

/// Classifies a message of SQLite's, which is in English in every locale and compiled in: Diesel
/// keeps the result code of a broken constraint only. The texts of codes are the library's own; a
/// statement that does not compile has a code that says no more, and a test provokes its texts.
fn classify_sqlite(message: &str) -> ErrorClass {
    const CODES: [(i32, ErrorClass); 4] = [
        (SQLITE_BUSY, ErrorClass::Busy),
        (SQLITE_LOCKED, ErrorClass::Busy),
        (SQLITE_IOERR, ErrorClass::ConnectionLost),
        (SQLITE_SCHEMA, ErrorClass::SchemaMismatch),
    ];
    const UNDEFINED: [&str; 3] = ["no such column", "no such table", "has no column named"];
    let class = CODES.iter().find(|(code, _)| message.starts_with(code_to_str(*code)));
    match class {
        Some((_, class)) => *class,
        None if UNDEFINED.iter().any(|text| message.contains(text)) => ErrorClass::SchemaMismatch,
        None => ErrorClass::Other,
    }
}

/// A refusal of PostgreSQL's, with its code.
struct ServerError(DbError);

/// An error of tokio-postgres as Diesel's: of the kind that Diesel has for it, else as the refusal
/// itself, in the one variant for errors of any type that [`sqlstate`] reads.
pub(super) fn query_error(error: tokio_postgres::Error) -> Error {
    use DatabaseErrorKind as Kind;
    let Some(refusal) = error.as_db_error() else {
        return Error::DatabaseError(Kind::ClosedConnection, Box::new(error_chain(&error)));
    };
    let refusal = Box::new(ServerError(refusal.clone()));
    let kind = match *refusal.0.code() {
        SqlState::UNIQUE_VIOLATION => Kind::UniqueViolation,
        SqlState::FOREIGN_KEY_VIOLATION => Kind::ForeignKeyViolation,
        SqlState::RESTRICT_VIOLATION => Kind::RestrictViolation,
        SqlState::EXCLUSION_VIOLATION => Kind::ExclusionViolation,
        SqlState::NOT_NULL_VIOLATION => Kind::NotNullViolation,
        SqlState::CHECK_VIOLATION => Kind::CheckViolation,
        SqlState::T_R_SERIALIZATION_FAILURE => Kind::SerializationFailure,
        SqlState::READ_ONLY_SQL_TRANSACTION => Kind::ReadOnlyTransaction,
        _ => return Error::QueryBuilderError(refusal),
    };
    Error::DatabaseError(kind, refusal)
}

impl std::error::Error for ServerError {}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.0.message(), self.0.code().code())
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl DatabaseErrorInformation for ServerError {
    fn message(&self) -> &str {
        self.0.message()
    }

    fn details(&self) -> Option<&str> {
        self.0.detail()
    }

    fn hint(&self) -> Option<&str> {
        self.0.hint()
    }

    fn table_name(&self) -> Option<&str> {
        self.0.table()
    }

    fn column_name(&self) -> Option<&str> {
        self.0.column()
    }

    fn constraint_name(&self) -> Option<&str> {
        self.0.constraint()
    }

    fn statement_position(&self) -> Option<i32> {
        match self.0.position()? {
            ErrorPosition::Original(position) => (*position).try_into().ok(),
            // Of a query that a function made, which is another text.
            ErrorPosition::Internal { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
