//! Acquiring the migration lock, and what its holder does first.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use database::Connection;
use tokio::time::Instant;

use super::{OperationError, Operations, alembic::take_over_alembic};
use crate::{
    engine::{EngineError, Session},
    store::{self, History, Outcome},
};

/// The pauses between two attempts to get the migration lock.
const MIN_LOCK_PAUSE: Duration = Duration::from_millis(10);
const MAX_LOCK_PAUSE: Duration = Duration::from_millis(200);

/// The migration lock, held, and the history as it is under it.
pub(super) struct Locked {
    pub session: Box<dyn Session>,
    pub connection: Connection,
    pub history: History,
}

/// Acquires the migration lock, and prepares the bookkeeping under it: its tables are created or
/// migrated, interrupted operations are recorded, and Alembic's history is taken over.
pub(super) async fn acquire_lock(
    operations: &Operations,
    deadline: Instant,
) -> Result<Locked, OperationError> {
    // Checked again under the lock: this check only keeps a refusal from waiting for it.
    check_layout(&operations.observer.history().await?)?;
    let mut session = poll_lock(operations, deadline).await?;
    let mut connection = operations.observer.connection().await?;
    loop {
        match prepare(operations, &mut *session, &mut connection).await {
            Ok(history) => return Ok(Locked { session, connection, history }),
            Err(error) => pause_or_give_up(operations, error, deadline).await?,
        }
    }
}

/// Refuses bookkeeping of a newer layout.
fn check_layout(history: &History) -> Result<(), OperationError> {
    history.check_layout().map_err(|newer| EngineError::from(newer).into())
}

async fn prepare(
    operations: &Operations,
    session: &mut dyn Session,
    connection: &mut Connection,
) -> Result<History, OperationError> {
    session.prepare().await?;
    let revisions = operations.observer.revisions();
    let history = History::read(connection, revisions).await?;
    let is_interrupted = history.has_unfinished_operation();
    if is_interrupted {
        record_interrupted(operations, connection, &history).await?;
    }
    if history.is_from_alembic {
        take_over_alembic(connection, &history).await?;
    }
    let has_changed = is_interrupted || history.is_from_alembic;
    Ok(if has_changed { History::read(connection, revisions).await? } else { history })
}

async fn record_interrupted(
    operations: &Operations,
    connection: &mut Connection,
    history: &History,
) -> Result<(), OperationError> {
    store::operations::finish_interrupted(connection).await?;
    if let Some(last) = &history.last_operation {
        operations.counts.operation(last.kind, Outcome::Interrupted);
        tracing::warn!(id = last.id, "marked an operation as interrupted: its server died");
    }
    Ok(())
}

impl Operations {
    /// Records operations whose server died, if the migration lock is free.
    ///
    /// # Errors
    /// The database cannot be reached or written.
    pub async fn recover_interrupted(&self) -> Result<(), OperationError> {
        let history = self.observer.history().await?;
        if !history.has_unfinished_operation() {
            return Ok(());
        }
        check_layout(&history)?;
        let session = self.engine.try_session().await?;
        if session.is_some() {
            let mut connection = self.observer.connection().await?;
            record_interrupted(self, &mut connection, &history).await?;
            self.observer.notify_changed();
        }
        Ok(())
    }
}

/// Pauses where another connection writes and there is time left: SQLite has one lock for all
/// writers.
pub(super) async fn pause_or_give_up(
    operations: &Operations,
    error: OperationError,
    deadline: Instant,
) -> Result<(), OperationError> {
    if operations.shutdown.is_cancelled() {
        return Err(not_begun());
    }
    if error.is_contention() && Instant::now() + MAX_LOCK_PAUSE < deadline {
        tokio::time::sleep(MAX_LOCK_PAUSE).await;
        return Ok(());
    }
    Err(error)
}

/// Takes the lock, or gives up at the deadline. Polled, since a session that waits in PostgreSQL
/// would hold up CREATE INDEX CONCURRENTLY.
async fn poll_lock(
    operations: &Operations,
    deadline: Instant,
) -> Result<Box<dyn Session>, OperationError> {
    for pause in pauses(MIN_LOCK_PAUSE, MAX_LOCK_PAUSE) {
        if let Some(session) = operations.engine.try_session().await? {
            return Ok(session);
        }
        if Instant::now() + pause >= deadline {
            break;
        }
        let shutdown = operations.shutdown.cancelled();
        if tokio::time::timeout(pause, shutdown).await.is_ok() {
            return Err(not_begun());
        }
    }
    Err(operations.busy().await)
}

/// Growing, jittered pauses without an end.
pub(super) fn pauses(min: Duration, max: Duration) -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(min)
        .with_max_delay(max)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

pub(super) fn not_begun() -> OperationError {
    OperationError::Shutdown("operation had not begun".into())
}
