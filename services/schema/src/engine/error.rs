//! What can fail in a session.

use std::fmt;

use crate::store::NewerLayout;

/// A statement that the database refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatementError {
    /// Which statement of the text, from 1.
    pub number: usize,
    /// The line of the text that the database points at.
    pub line: usize,
    /// The beginning of the statement, on one line.
    pub statement: String,
    /// The database's message.
    pub message: String,
    /// The SQLSTATE, where the database has one.
    pub sqlstate: Option<String>,
    /// The sessions that held the lock that it waited for.
    pub blocked_by: Vec<String>,
}

impl StatementError {
    /// Of a write to the bookkeeping, which belongs to no revision.
    pub fn of_bookkeeping(message: String) -> Self {
        Self {
            number: 0,
            line: 0,
            statement: "bookkeeping".into(),
            message,
            sqlstate: None,
            blocked_by: Vec::new(),
        }
    }
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, line, statement, message, .. } = self;
        write!(f, "statement {number}, line {line} ({statement}): {message}")?;
        if !self.blocked_by.is_empty() {
            write!(f, "; blocked by {}", self.blocked_by.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for StatementError {}

/// Why a session could not be opened, or why a step was rolled back.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The database cannot be reached, or the connection broke.
    #[error("cannot reach the database: {0}")]
    Unreachable(String),
    /// The connection that holds the migration lock ended, or a pooler moved it.
    #[error(
        "lost the migration lock: its connection ended; behind PgBouncer in transaction mode, use a \
         direct database URL"
    )]
    LockLost,
    #[error("cannot create or write the bookkeeping tables: {0}")]
    Bookkeeping(String),
    #[error(transparent)]
    NewerLayout(#[from] NewerLayout),
    /// Another transaction held a lock that the step needs.
    #[error("{0}")]
    Contended(StatementError),
    /// The names of live dependents that would break, some of which registered after the operation began.
    #[error("live dependents would break: {0}")]
    Dependents(String),
    /// A statement of the revision failed.
    #[error("{0}")]
    Statement(StatementError),
    /// The database cancelled a query of ours (SQLSTATE 57014).
    #[error("a query was cancelled: {0}")]
    QueryCancelled(String),
    /// The step was cancelled by its server, and nothing of it is kept.
    #[error("step was cancelled")]
    Cancelled,
}

/// The beginning of a statement, on one line, for a message.
pub(super) fn summary(statement: &str) -> String {
    const WORDS: usize = 8;
    let words: Vec<&str> = statement.split_whitespace().take(WORDS).collect();
    let text = words.join(" ");
    if text.len() < statement.len() && words.len() == WORDS { format!("{text} …") } else { text }
}
