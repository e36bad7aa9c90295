//! What changes a schema: the migration lock, which works across processes, and the step under it.
//!
//! An [`Engine`] has at most one [`Session`] at a time across all servers. A session applies steps,
//! each in one transaction with its bookkeeping. When it is dropped, or its process dies, the lock is
//! free.

mod autocommit;
mod cancel;
mod error;
mod guard;
mod mode;
mod postgres;
mod sqlite;
mod step;

use std::sync::Arc;

use async_trait::async_trait;
use database::{Connection, DatabaseUrl};
use diesel::QueryResult;
use sql::{Dialect, Statement};

use crate::store::Checkpoint;

pub use cancel::StepCanceller;
pub use error::{EngineError, StatementError};
pub use guard::CommitGuard;
pub use step::{ReportProgress, Step};

/// The source of sessions on one database.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Takes the migration lock if it is free. None where another session holds it.
    ///
    /// # Errors
    /// The database cannot be reached.
    async fn try_session(&self) -> Result<Option<Box<dyn Session>>, EngineError>;

    /// Whether a session holds the migration lock. Reads only; `connection` is to the same database.
    ///
    /// # Errors
    /// The database cannot be read.
    async fn is_locked(&self, connection: &mut Connection) -> QueryResult<bool>;
}

/// The engine of a database.
pub fn engine(url: &DatabaseUrl) -> Arc<dyn Engine> {
    match url {
        DatabaseUrl::Postgres(server) => Arc::new(postgres::PostgresEngine::new(server)),
        DatabaseUrl::Sqlite { path, .. } => Arc::new(sqlite::SqliteEngine::new(path)),
    }
}

/// The migration lock, held, and a connection to work on.
#[async_trait]
pub trait Session: Send {
    fn dialect(&self) -> Dialect;

    /// Creates the bookkeeping tables, or migrates them to this build's layout.
    ///
    /// # Errors
    /// The layout is newer than this build knows, the role may not write, or the database is away.
    async fn prepare(&mut self) -> Result<(), EngineError>;

    /// What cancels the step in progress.
    fn canceller(&self) -> StepCanceller;

    /// Whether its connection was left to a step that was cancelled.
    fn is_lost(&self) -> bool;

    /// Runs a whole step and its bookkeeping in one transaction.
    async fn run_in_transaction(&mut self, step: &Step) -> Result<(), EngineError>;

    /// The checkpoint of a half-done step.
    async fn checkpoint(&mut self, step: &Step) -> Result<Option<Checkpoint>, EngineError>;

    /// Runs one statement and saves the checkpoint after it, in one transaction.
    async fn exec_in_transaction(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        after: &Checkpoint,
    ) -> Result<(), EngineError>;

    /// Runs one statement outside any transaction.
    async fn exec_autocommit(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        progress: ReportProgress<'_>,
    ) -> Result<(), EngineError>;

    async fn save_checkpoint(
        &mut self,
        step: &Step,
        checkpoint: &Checkpoint,
    ) -> Result<(), EngineError>;

    /// Ends a step outside a transaction: records it and removes its checkpoint.
    async fn record_step(&mut self, step: &Step) -> Result<(), EngineError>;

    /// What the catalog says of an index that is built or dropped concurrently.
    async fn index_state(&mut self, name: &str) -> Result<IndexState, EngineError>;
}

impl dyn Session + '_ {
    /// Runs a step: all of it with its bookkeeping, or nothing. A revision without a transaction runs
    /// from its checkpoint, statement by statement.
    ///
    /// # Errors
    /// The step, or its last statement, was rolled back.
    pub async fn run(
        &mut self,
        step: &Step,
        progress: ReportProgress<'_>,
    ) -> Result<(), EngineError> {
        if step.revision.transactional {
            self.run_in_transaction(step).await
        } else {
            autocommit::run(self, step, progress).await
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IndexState {
    Missing,
    /// Left behind by a CREATE INDEX CONCURRENTLY that failed.
    Invalid,
    Valid,
}
