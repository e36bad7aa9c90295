//! Reads the state of one database for all callers: one read serves every caller that waits for
//! it, and every change reaches every watcher.

mod error;
mod inspector;
mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use api::schema::v1::{Backend, Operation, SchemaState};
use database::{Connection, Database, DatabaseUrl, PoolError};
use diesel::QueryResult;
use parking_lot::Mutex;
use revisions::RevisionSet;
use tokio::{
    sync::{Notify, watch as watch_channel},
    time::Instant,
};
use wire::error_chain;

use crate::{
    engine::Engine,
    state::{self, Snapshot},
    store::{History, Outcome, history::Tables, listing},
};

pub use error::{InspectError, ReadError};
pub use inspector::Inspector;

/// The shortest time between two reads, for each caller that they serve. A crowd arrives over some
/// milliseconds, its next calls as the last ones are answered, and one read can serve all that
/// arrive meanwhile. A lone caller does not wait.
const READ_SPACING_PER_WAITER: Duration = Duration::from_micros(100);
const MAX_READ_SPACING: Duration = Duration::from_millis(25);

/// Observes one database.
pub struct Observer {
    database: Database,
    revisions: RevisionSet,
    engine: Arc<dyn Engine>,
    inspector: Inspector,
    start_failure: Mutex<Option<String>>,
    identity: Mutex<Option<String>>,
    /// Held by the caller that reads.
    last_read: tokio::sync::Mutex<LastRead>,
    /// How many callers wait for a read.
    waiters: AtomicU32,
    /// The newest state, for watchers and for callers that waited while it was read.
    newest: watch_channel::Sender<Option<Arc<Observed>>>,
    /// This server changed the schema: read now.
    changed: Notify,
}

/// What a read leaves to the next one.
struct LastRead {
    ended: Instant,
    /// How many callers waited for it.
    waiters: u32,
    /// When it began, if it failed, and why.
    failure: Option<(Instant, String)>,
    tables: Tables,
}

/// A state, and when the read of it began.
struct Observed {
    begun: Instant,
    state: SchemaState,
}

/// A caller that waits for a read, counted until it is dropped.
struct Waiter<'a>(&'a AtomicU32);

impl<'a> Waiter<'a> {
    fn new(waiters: &'a AtomicU32) -> Self {
        waiters.fetch_add(1, Ordering::Relaxed);
        Self(waiters)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Observer {
    /// An observer that reads when it is asked to, or while [`run`](Self::run) has watchers.
    pub fn new(
        database: Database,
        revisions: RevisionSet,
        inspector: Inspector,
        engine: Arc<dyn Engine>,
    ) -> Self {
        Self {
            database,
            revisions,
            inspector,
            engine,
            start_failure: Mutex::default(),
            identity: Mutex::default(),
            last_read: tokio::sync::Mutex::new(LastRead {
                ended: Instant::now(),
                waiters: 0,
                failure: None,
                tables: Tables::default(),
            }),
            waiters: AtomicU32::new(0),
            newest: watch_channel::Sender::new(None),
            changed: Notify::new(),
        }
    }

    /// The revisions that this server holds.
    pub const fn revisions(&self) -> &RevisionSet {
        &self.revisions
    }

    pub const fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    pub async fn connection(&self) -> Result<Connection, PoolError> {
        self.database.connection().await
    }

    /// The state, read no earlier than this call. Callers that arrive during one read share the
    /// next one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn current(&self) -> Result<SchemaState, ReadError> {
        let asked = Instant::now();
        let waiter = Waiter::new(&self.waiters);
        let mut last = self.last_read.lock().await;
        if let Some(observed) = &*self.newest.borrow()
            && observed.begun >= asked
        {
            return Ok(observed.state.clone());
        }
        if let Some((begun, why)) = &last.failure
            && *begun >= asked
        {
            return Err(ReadError::Shared(why.clone()));
        }
        let waiters = last.waiters.max(self.other_waiters());
        let spacing = (READ_SPACING_PER_WAITER * waiters).min(MAX_READ_SPACING);
        tokio::time::sleep_until(last.ended + spacing).await;
        last.waiters = self.other_waiters();
        drop(waiter);
        let begun = Instant::now();
        let state = self.read(begun, &mut last.tables).await;
        last.ended = Instant::now();
        last.failure = state.as_ref().err().map(|error| (begun, error_chain(error)));
        if state.is_err() {
            // Another server may answer the next read.
            *self.identity.lock() = None;
        }
        state
    }

    /// How many callers wait beside the one that reads.
    fn other_waiters(&self) -> u32 {
        self.waiters.load(Ordering::Relaxed).saturating_sub(1)
    }

    async fn read(&self, begun: Instant, tables: &mut Tables) -> Result<SchemaState, ReadError> {
        let mut connection = self.connection().await?;
        let history = History::read_from(&mut connection, &self.revisions, tables).await?;
        let state = self.state(&mut connection, &history).await?;
        self.publish(Observed { begun, state: state.clone() });
        Ok(state)
    }

    /// Reads the bookkeeping.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn history(&self) -> Result<History, ReadError> {
        Ok(History::read(&mut self.connection().await?, &self.revisions).await?)
    }

    /// At most `count` operations older than `before`, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn operations(
        &self,
        before: Option<String>,
        count: usize,
    ) -> Result<Vec<Operation>, ReadError> {
        let mut connection = self.connection().await?;
        let rows = listing::list_operations(&mut connection, before, count).await?;
        let has_unfinished = rows.iter().any(|(row, _)| row.outcome == Outcome::Running);
        let is_locked = has_unfinished && self.engine.is_locked(&mut connection).await?;
        Ok(rows.iter().map(|(row, past)| state::operation(row, past, is_locked)).collect())
    }

    /// The database's identity, read on one of its connections.
    ///
    /// # Errors
    /// The database, or the file, cannot be read.
    pub async fn identity(&self, connection: &mut Connection) -> QueryResult<String> {
        if let Some(known) = self.identity.lock().clone() {
            return Ok(known);
        }
        let identity = self.database.identity(connection).await?;
        // A file can be replaced under an open connection; a server cannot.
        if matches!(connection, Connection::Postgres(_)) {
            *self.identity.lock() = Some(identity.clone());
        }
        Ok(identity)
    }

    /// The state of this database with a history that was read from it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn state(
        &self,
        connection: &mut Connection,
        history: &History,
    ) -> QueryResult<SchemaState> {
        let is_locked =
            history.has_unfinished_operation() && self.engine.is_locked(connection).await?;
        let database_id = self.identity(connection).await?;
        let start_failure = self.start_failure.lock().clone();
        let finding = self.inspector.finding(connection, &self.revisions, history, is_locked).await;
        let snapshot = Snapshot {
            revisions: &self.revisions,
            history,
            is_locked,
            finding: &finding,
            backend: backend(self.database.url()),
            database_id: &database_id,
            start_failure: start_failure.as_deref(),
        };
        Ok(snapshot.state())
    }

    /// Sets or clears why the upgrade on start failed.
    pub fn set_start_failure(&self, failure: Option<String>) {
        *self.start_failure.lock() = failure;
        self.notify_changed();
    }
}

/// The contract's name of a database's kind.
pub const fn backend(url: &DatabaseUrl) -> Backend {
    match url {
        DatabaseUrl::Postgres(_) => Backend::Postgres,
        DatabaseUrl::Sqlite { .. } => Backend::Sqlite,
    }
}
