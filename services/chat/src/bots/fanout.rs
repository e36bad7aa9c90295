//! The task that makes deliveries of messages. Every replica has one; the database decides between
//! them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::database::{ErrorClass, chain, classify};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tokio::{sync::Notify, time::timeout};

use super::desk::Desk;
use crate::{
    bus::Ear,
    error::Error,
    models::{assignment::Assignment, fanning, message::Message},
    store::Store,
};

/// How often it looks though the bus is silent: what lost news costs.
const PACE: Duration = Duration::from_secs(1);
/// The pause where another replica is at it: about as long as that takes.
const TURN: Duration = Duration::from_millis(20);

/// Makes deliveries, once [`run`](Self::run). Its clones are the same one.
#[derive(Clone)]
pub(crate) struct FanOut {
    store: Store,
    desk: Arc<Desk>,
    assigned: Arc<Notify>,
}

/// What a turn came to.
enum Turn {
    /// Every message was looked at.
    Done,
    /// There may be more of them.
    More,
    /// Another replica is at it.
    Held,
    /// No bot is handed anything.
    Idle,
}

/// What is remembered from one turn to the next.
#[derive(Default)]
struct Known {
    /// Where the first assignment begins, and when that was read. It may be too low meanwhile,
    /// which costs a longer look and nothing else.
    earliest: Option<(Instant, i64)>,
    cursor: Option<i64>,
}

impl FanOut {
    pub(crate) fn new(store: Store, desk: Arc<Desk>) -> Self {
        Self { store, desk, assigned: Arc::default() }
    }

    /// Says that a bot may be handed messages from now on.
    pub(crate) fn assigned(&self) {
        self.assigned.notify_one();
    }

    /// Looks while the gate is open, for ever.
    pub(crate) async fn run(self, mut stored: Ear) {
        let mut known = Known::default();
        loop {
            self.store.gate().opened().await;
            match self.turn(&mut known).await {
                Ok(Turn::More) => {}
                Ok(Turn::Held) => tokio::time::sleep(TURN).await,
                Ok(Turn::Done) => drop(timeout(PACE, stored.heard()).await),
                // No message is looked at where nobody would hear it.
                Ok(Turn::Idle) => drop(timeout(PACE, self.assigned.notified()).await),
                Err(error) => {
                    self.store.heed(&error);
                    tracing::warn!(error = chain(&error), "messages could not be given to bots");
                    tokio::time::sleep(PACE).await;
                }
            }
        }
    }

    async fn turn(&self, known: &mut Known) -> Result<Turn, Error> {
        let connection = &mut self.store.connection().await?;
        let fresh = known.earliest.filter(|(read, _)| read.elapsed() < PACE);
        let earliest = match fresh {
            Some((_, earliest)) => earliest,
            None => match Assignment::earliest(connection).await? {
                Some(earliest) => {
                    known.earliest = Some((Instant::now(), earliest));
                    earliest
                }
                None => {
                    known.earliest = None;
                    return Ok(Turn::Idle);
                }
            },
        };
        let cursor = fanning::cursor(connection).await?;
        if known.cursor != cursor {
            // Another replica may have made deliveries that workers here wait for.
            known.cursor = cursor;
            self.desk.wake();
        }
        if Message::newest(connection).await? <= cursor.unwrap_or_default().max(earliest) {
            return Ok(Turn::Done);
        }
        if cursor.is_none() {
            fanning::begin(connection, earliest).await?;
        }
        let fanned = match fanning::fan_out(connection, earliest).await {
            // A chat or a bot was deleted between the statement's look and its write.
            Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => None,
            Err(error) if classify(&error) == ErrorClass::Busy => None,
            fanned => fanned?,
        };
        let Some(fanned) = fanned else { return Ok(Turn::Held) };
        if fanned.deliveries > 0 {
            self.desk.wake();
        }
        known.cursor = fanning::cursor(connection).await?;
        Ok(if fanned.messages < fanning::PAGE { Turn::Done } else { Turn::More })
    }
}
