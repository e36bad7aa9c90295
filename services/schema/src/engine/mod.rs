//! What changes a schema: the lock that works across processes, and the step under it.
//!
//! An [`Engine`] hands out at most one [`Session`] at a time, in the whole world. A session
//! applies steps, each one transaction with its bookkeeping; when it is dropped, or its process
//! dies, the lock is free.

mod pieces;
mod postgres;
mod sqlite;
mod stop;

use std::{fmt, time::Duration};

use database::{Connection, DatabaseUrl};
use diesel::QueryResult;
use revisions::{Dialect, Revision, statements::Statement};

use crate::{dependents::Threat, ledger::Position};

pub use pieces::{IndexState, Tell};
pub use stop::{Fate, Stopper};

/// Up, or down.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// Apply.
    Up,
    /// Revert.
    Down,
}

impl Direction {
    /// As the ledger has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// The body of a revision that goes this way.
    pub fn sql(self, revision: &Revision) -> &str {
        match self {
            Self::Up => &revision.up,
            Self::Down => &revision.down,
        }
    }
}

/// One step: a revision, applied or reverted for an operation.
#[derive(Clone, Debug)]
pub struct Step {
    /// The operation in the ledger.
    pub operation_id: String,
    /// What runs.
    pub revision: Revision,
    /// Which of its bodies.
    pub direction: Direction,
    /// How long one statement may wait for a lock of the database's.
    pub lock_timeout: Duration,
    /// Which dependents must not be there when it is committed.
    pub threat: Option<Threat>,
    /// They may, and are written down.
    pub force: bool,
    /// Whether it may still commit.
    pub fate: Fate,
}

impl Step {
    /// The body that runs.
    pub fn sql(&self) -> &str {
        self.direction.sql(&self.revision)
    }
}

/// A statement of a migration that the database refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatementError {
    /// Which one of the body, from 1.
    pub number: usize,
    /// The line of the body that is at fault.
    pub line: usize,
    /// Its first words.
    pub statement: String,
    /// The database's own words.
    pub message: String,
    /// The SQLSTATE, where the database has one.
    pub code: Option<String>,
    /// Who held the lock that it waited for.
    pub blocked_by: Vec<String>,
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, line, statement, message, .. } = self;
        write!(f, "statement {number}, line {line} ({statement}): {message}")?;
        if !self.blocked_by.is_empty() {
            write!(f, "; held by {}", self.blocked_by.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for StatementError {}

impl StatementError {
    /// Of a write that belongs to no migration.
    pub fn of_bookkeeping(error: &diesel::result::Error) -> Self {
        Self {
            number: 0,
            line: 0,
            statement: "bookkeeping".into(),
            message: error.to_string(),
            code: None,
            blocked_by: Vec::new(),
        }
    }
}

/// Why a session could not be had, or a step not be done. The step is rolled back whole.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The database cannot be reached, or the connection broke.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The connection that holds the lock is gone, or never really held it.
    #[error(
        "the lock was lost: its connection ended. Behind PgBouncer in transaction mode, give a \
         direct URL"
    )]
    LockLost,
    /// The role may not do what is needed.
    #[error("the bookkeeping tables cannot be made or written: {0}")]
    Bookkeeping(String),
    /// Another transaction held a lock that the step needs.
    #[error("{0}")]
    Contended(StatementError),
    /// Dependents that would break came since the operation began.
    #[error("live dependents would break: {0}")]
    Dependents(String),
    /// A statement of the migration failed.
    #[error("{0}")]
    Statement(StatementError),
    /// It was stopped from outside.
    #[error("it was stopped")]
    Abandoned,
}

/// Where sessions come from.
#[derive(Clone, Debug)]
pub enum Engine {
    /// PostgreSQL's.
    Postgres(postgres::Engine),
    /// SQLite's.
    Sqlite(sqlite::Engine),
}

/// The lock, held, and a connection to work on.
pub enum Session {
    /// PostgreSQL's.
    Postgres(postgres::Session),
    /// SQLite's.
    Sqlite(sqlite::Session),
}

impl Engine {
    /// The engine of a database.
    pub fn new(url: &DatabaseUrl) -> Self {
        match url {
            DatabaseUrl::Postgres(server) => Self::Postgres(postgres::Engine::new(server)),
            DatabaseUrl::Sqlite { path, .. } => Self::Sqlite(sqlite::Engine::new(path)),
        }
    }

    /// Takes the lock if it is free. None where another one holds it.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn try_session(&self) -> Result<Option<Session>, EngineError> {
        Ok(match self {
            Self::Postgres(engine) => engine.try_session().await?.map(Session::Postgres),
            Self::Sqlite(engine) => engine.try_session().await?.map(Session::Sqlite),
        })
    }

    /// Whether anyone holds the lock. Reads only.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn is_locked(&self, connection: &mut Connection) -> QueryResult<bool> {
        match (self, connection) {
            (Self::Postgres(_), Connection::Postgres(connection)) => {
                postgres::is_locked(connection).await
            }
            (Self::Sqlite(engine), _) => Ok(engine.is_locked()),
            (Self::Postgres(_), Connection::Sqlite(_)) => Err(diesel::result::Error::NotFound),
        }
    }
}

impl Session {
    /// Makes Diesel's table and the ledger's where they are missing.
    ///
    /// # Errors
    /// The role may not, or the database is away.
    pub async fn prepare(&mut self) -> Result<(), EngineError> {
        match self {
            Self::Postgres(session) => session.prepare().await,
            Self::Sqlite(session) => session.prepare().await,
        }
    }

    /// Runs a step: all of it with its bookkeeping, or nothing; where the revision has no
    /// transaction, from where it stands, and statement by statement.
    ///
    /// # Errors
    /// As [`EngineError`] says; the step, or the statement, is rolled back.
    pub async fn run(&mut self, step: &Step, tell: Tell<'_>) -> Result<(), EngineError> {
        if !step.revision.transactional {
            return pieces::run(self, step, tell).await;
        }
        match self {
            Self::Postgres(session) => session.run(step).await,
            Self::Sqlite(session) => session.run(step).await,
        }
    }

    /// What stops a run of this session.
    pub fn stopper(&self) -> Stopper {
        match self {
            Self::Postgres(session) => session.stopper(),
            Self::Sqlite(_) => Stopper::Sqlite,
        }
    }

    /// Whether its connection was left to a run that was stopped.
    pub const fn is_lost(&self) -> bool {
        match self {
            Self::Postgres(_) => false,
            Self::Sqlite(session) => session.is_lost(),
        }
    }

    const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Where a step stands that is half done.
    async fn position(&mut self, step: &Step) -> Result<Option<Position>, EngineError> {
        match self {
            Self::Postgres(session) => session.position(step).await,
            Self::Sqlite(session) => session.position(step).await,
        }
    }

    /// One statement and the position behind it, in one transaction.
    async fn together(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        after: &Position,
    ) -> Result<(), EngineError> {
        match self {
            Self::Postgres(session) => session.together(step, statement, number, after).await,
            Self::Sqlite(session) => session.together(step, statement, number, after).await,
        }
    }

    /// One statement alone, outside any transaction.
    async fn alone(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        tell: Tell<'_>,
    ) -> Result<(), EngineError> {
        match self {
            Self::Postgres(session) => session.alone(step, statement, number, tell).await,
            Self::Sqlite(session) => session.alone(step, statement, number).await,
        }
    }

    /// A position by itself.
    async fn save(&mut self, step: &Step, position: &Position) -> Result<(), EngineError> {
        match self {
            Self::Postgres(session) => session.save(step, position).await,
            Self::Sqlite(session) => session.save(step, position).await,
        }
    }

    /// The end of a step outside a transaction: its bookkeeping, and no position any more.
    async fn book(&mut self, step: &Step) -> Result<(), EngineError> {
        match self {
            Self::Postgres(session) => session.book(step).await,
            Self::Sqlite(session) => session.book(step).await,
        }
    }

    /// What the catalog says of an index. SQLite's are never built concurrently.
    async fn index_state(&mut self, name: &str) -> Result<IndexState, EngineError> {
        match self {
            Self::Postgres(session) => session.index_state(name).await,
            Self::Sqlite(_) => Ok(IndexState::Missing),
        }
    }
}

/// The first words of a statement, on one line, for an error.
fn first_words(statement: &str) -> String {
    let words: Vec<&str> = statement.split_whitespace().take(8).collect();
    let text = words.join(" ");
    if text.len() < statement.len() && words.len() == 8 { format!("{text} …") } else { text }
}
