//! SQLite: a lock file beside the database, and steps on one connection, on a thread that may
//! block.
//!
//! The migration lock is not `BEGIN IMMEDIATE`, which would keep the application from writing for
//! as long as an operation lasts.

mod error;
mod migration;
mod session;
mod transaction;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use database::{Connection, sqlite_uri};
use diesel::{QueryResult, SqliteConnection};
use wire::error_chain;

use super::{Engine, EngineError, Session};

#[derive(Clone, Debug)]
pub(super) struct SqliteEngine {
    database: PathBuf,
    lock_file: PathBuf,
}

pub(super) struct SqliteSession {
    /// Locked as long as it is open: a process that dies closes it.
    _lock: File,
    /// None while a step runs. It stays none if the step panicked or was cancelled.
    connection: Option<SqliteConnection>,
}

impl SqliteEngine {
    pub fn new(database: &Path) -> Self {
        let mut lock_file = database.as_os_str().to_owned();
        lock_file.push(".schemagate-lock");
        Self { database: database.to_owned(), lock_file: lock_file.into() }
    }

    fn try_open(&self) -> Result<Option<SqliteSession>, EngineError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.lock_file)
            .map_err(|error| self.cannot_lock(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(self.cannot_lock(&error)),
        }
        let connection = database::open_sqlite(&sqlite_uri(&self.database, false))
            .map_err(|error| EngineError::Unreachable(error_chain(&error)))?;
        Ok(Some(SqliteSession { _lock: file, connection: Some(connection) }))
    }

    fn cannot_lock(&self, error: &io::Error) -> EngineError {
        EngineError::Unreachable(format!("{}: {error}", self.lock_file.display()))
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    async fn try_session(&self) -> Result<Option<Box<dyn Session>>, EngineError> {
        let engine = self.clone();
        let session = blocking(move || engine.try_open()).await?;
        Ok(session.map(|session| Box::new(session) as Box<dyn Session>))
    }

    /// Holds a shared lock for no longer than it takes to ask.
    async fn is_locked(&self, _: &mut Connection) -> QueryResult<bool> {
        Ok(File::open(&self.lock_file)
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))))
    }
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, EngineError> + Send + 'static,
) -> Result<R, EngineError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(EngineError::Unreachable(error.to_string())))
}
