//! Who looks at the database, and tells: one look serves every caller that waits for it, and
//! every change reaches every watcher.

use std::{
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use api::schema::v1::{Backend, Drift, Operation, SchemaState};
use database::{Connection, Database, DatabaseUrl, Unavailable};
use diesel::QueryResult;
use tokio::{
    sync::{Mutex, Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use wire::error_chain;

use crate::{
    engine::Engine,
    error::ReadError,
    history::{self, History, Tables},
    inspector::Inspector,
    line::Line,
    state::{self, Look},
};

/// How often watchers' database is looked at for what other servers and the Diesel CLI do.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a look keeps from the one before, for each caller that either serves, and at most: a
/// crowd comes over some milliseconds, the next of it as the first is answered, and one look can
/// serve all who come meanwhile. A lone caller waits for nobody.
const SPACING: Duration = Duration::from_micros(100);
const LONGEST_SPACING: Duration = Duration::from_millis(25);

/// Looks at one database for everybody.
pub struct Observer {
    database: Database,
    line: Line,
    engine: Engine,
    inspector: Inspector,
    start_failure: std::sync::Mutex<Option<String>>,
    identity: std::sync::Mutex<Option<String>>,
    /// Held by the one that looks.
    looking: Mutex<Last>,
    /// How many want to.
    waiting: AtomicU32,
    /// The newest state, for watchers and for those that waited while it was read.
    newest: watch::Sender<Option<Arc<Seen>>>,
    /// Something here changed the schema: look at once.
    changed: Notify,
}

/// What the last look leaves to the next one.
struct Last {
    ended: Instant,
    /// How many waited for it.
    served: u32,
    /// When it began, if it failed, and why.
    failure: Option<(Instant, String)>,
    /// Whose tables there were.
    tables: Tables,
}

/// A state, and when the look at it began.
struct Seen {
    begun: Instant,
    state: SchemaState,
}

/// One who waits to look, counted until it is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn with(others: &'a AtomicU32) -> Self {
        others.fetch_add(1, Ordering::Relaxed);
        Self(others)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Observer {
    /// An observer of a database. It looks when it is asked, or [`run`](Self::run).
    pub fn new(database: Database, line: Line, inspector: Inspector, engine: Engine) -> Self {
        Self {
            database,
            line,
            inspector,
            engine,
            start_failure: std::sync::Mutex::default(),
            identity: std::sync::Mutex::default(),
            looking: Mutex::new(Last {
                ended: Instant::now(),
                served: 0,
                failure: None,
                tables: Tables::default(),
            }),
            waiting: AtomicU32::new(0),
            newest: watch::Sender::new(None),
            changed: Notify::new(),
        }
    }

    /// The revisions that are held.
    pub const fn line(&self) -> &Line {
        &self.line
    }

    /// Who looks at the live catalog.
    pub const fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    /// A connection to the database.
    ///
    /// # Errors
    /// None can be had.
    pub async fn connection(&self) -> Result<Connection, Unavailable> {
        self.database.connection().await
    }

    /// The state, as of no earlier than this call. Callers that come while one look is under way
    /// share the next one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn current(&self) -> Result<SchemaState, ReadError> {
        let asked = Instant::now();
        let waiting = Waiting::with(&self.waiting);
        let mut last = self.looking.lock().await;
        if let Some(seen) = &*self.newest.borrow()
            && seen.begun >= asked
        {
            return Ok(seen.state.clone());
        }
        if let Some((begun, why)) = &last.failure
            && *begun >= asked
        {
            return Err(ReadError::Shared(why.clone()));
        }
        let crowd = last.served.max(self.company());
        tokio::time::sleep_until(last.ended + (SPACING * crowd).min(LONGEST_SPACING)).await;
        last.served = self.company();
        drop(waiting);
        let begun = Instant::now();
        let state = self.look(begun, &mut last.tables).await;
        last.ended = Instant::now();
        last.failure = state.as_ref().err().map(|error| (begun, error_chain(error)));
        if state.is_err() {
            *self.known_identity() = None;
        }
        state
    }

    /// How many wait for a look beside the one that is about to.
    fn company(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed).saturating_sub(1)
    }

    async fn look(&self, begun: Instant, tables: &mut Tables) -> Result<SchemaState, ReadError> {
        let mut connection = self.connection().await?;
        let history = History::read_from(&mut connection, &self.line, tables).await?;
        let state = self.state(&mut connection, &history).await?;
        self.newest.send_if_modified(|newest| {
            let news = newest.as_ref().is_none_or(|seen| !same(&seen.state, &state));
            *newest = Some(Arc::new(Seen { begun, state: state.clone() }));
            news
        });
        Ok(state)
    }

    /// What the database says of its past.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn history(&self) -> Result<History, ReadError> {
        Ok(History::read(&mut self.connection().await?, &self.line).await?)
    }

    /// At most `count` operations that are older than the one named, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn operations(
        &self,
        before: Option<String>,
        count: usize,
    ) -> Result<Vec<Operation>, ReadError> {
        let mut connection = self.connection().await?;
        let rows = history::operations(&mut connection, before, count).await?;
        let recorded = rows.iter().any(|(row, _)| row.outcome == "running");
        let running = recorded && self.engine.is_locked(&mut connection).await?;
        Ok(rows.iter().map(|(row, past)| state::operation(row, past, running)).collect())
    }

    /// The database's name, read on one of its connections.
    ///
    /// # Errors
    /// The database, or the file, cannot be read.
    pub async fn identity(&self, connection: &mut Connection) -> QueryResult<String> {
        if let Some(known) = self.known_identity().clone() {
            return Ok(known);
        }
        let identity = self.database.identity(connection).await?;
        // A file can be put in another's place under a connection; a server cannot.
        if matches!(connection, Connection::Postgres(_)) {
            *self.known_identity() = Some(identity.clone());
        }
        Ok(identity)
    }

    /// Forgotten with the first look that fails: another server may answer the next one.
    fn known_identity(&self) -> MutexGuard<'_, Option<String>> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state that a history makes, on this database.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn state(
        &self,
        connection: &mut Connection,
        history: &History,
    ) -> QueryResult<SchemaState> {
        let recorded =
            history.last_operation.as_ref().is_some_and(|last| last.outcome == "running");
        let running = recorded && self.engine.is_locked(connection).await?;
        let database_id = self.identity(connection).await?;
        let start_failure = self.start_failure();
        let finding = self.inspector.finding(connection, &self.line, history, running).await;
        let look = Look {
            line: &self.line,
            history,
            running,
            finding: &finding,
            backend: backend(self.database.url()),
            database_id: &database_id,
            start_failure: start_failure.as_deref(),
        };
        Ok(look.state())
    }

    /// Sets, or clears, why the upgrade at the start failed.
    pub fn set_start_failure(&self, failure: Option<String>) {
        *self.start_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        self.changed();
    }

    fn start_failure(&self) -> Option<String> {
        self.start_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that the schema changed: watchers hear of it at once.
    pub fn changed(&self) {
        self.changed.notify_one();
    }

    /// Every state from now on that differs from the one before; the newest may skip others.
    pub fn watch(self: &Arc<Self>) -> Watcher {
        let watcher = Watcher(self.newest.subscribe());
        // Who was idle for want of watchers wakes up.
        self.changed();
        watcher
    }

    /// Looks for watchers, as long as there are any, until `stopping`.
    pub async fn run(&self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(INTERVAL), if self.newest.receiver_count() > 0 => {}
            }
            if self.newest.receiver_count() == 0 {
                continue;
            }
            if let Err(error) = self.current().await {
                tracing::warn!(error = error_chain(&error), "the database cannot be read");
            }
        }
    }
}

/// Follows the state.
pub struct Watcher(watch::Receiver<Option<Arc<Seen>>>);

impl Watcher {
    /// The next state that differs. None once the observer is gone.
    pub async fn next(&mut self) -> Option<SchemaState> {
        self.0.changed().await.ok()?;
        self.0.borrow_and_update().as_ref().map(|seen| seen.state.clone())
    }
}

/// Whether a watcher needs not be told. Who else is there is no news: two hundred that come would
/// tell two hundred of each.
fn same(left: &SchemaState, right: &SchemaState) -> bool {
    let essence = |state: &SchemaState| {
        let drift = state.drift.clone().map(|drift| Drift { checked_at: None, ..drift });
        SchemaState { observed_at: None, dependents: Vec::new(), drift, ..state.clone() }
    };
    essence(left) == essence(right)
}

/// The kind of a database, as the contract names it.
pub const fn backend(url: &DatabaseUrl) -> Backend {
    match url {
        DatabaseUrl::Postgres(_) => Backend::Postgres,
        DatabaseUrl::Sqlite { .. } => Backend::Sqlite,
    }
}
