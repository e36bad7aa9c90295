//! The task that makes deliveries of messages. Every replica has one; the database decides between
//! them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use database::{Connection, ErrorClass, classify};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use wire::error_chain;

use super::dispatcher::DeliveryDispatcher;
use crate::{
    bus::WakeUps,
    error::Error,
    models::{
        assignment::Assignment,
        fanout::{self, PAGE_SIZE},
        message::Message,
    },
    store::Store,
};

/// How often the database is read without a wake-up: the cost of a lost one.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Pause while another replica fans out: about as long as that takes.
const CONTENDED_INTERVAL: Duration = Duration::from_millis(20);

/// The fan-out of this process, once it [runs](Self::run). Clones share it.
#[derive(Clone)]
pub(crate) struct Fanout {
    store: Store,
    dispatcher: Arc<DeliveryDispatcher>,
    bots_enabled: Arc<Notify>,
}

/// What one step of the fan-out left.
enum FanoutStep {
    /// Deliveries exist for every message.
    Done,
    /// There may be more messages.
    More,
    /// Another replica holds the cursor.
    Contended,
    /// No bot is enabled in any chat.
    NoBots,
}

/// What is kept from one step to the next.
#[derive(Default)]
struct FanoutState {
    /// The lowest `since_position`, and when it was read. A value that is too low costs a longer
    /// read and nothing else.
    min_since_position: Option<(Instant, i64)>,
    cursor: Option<i64>,
}

impl Fanout {
    pub(crate) fn new(store: Store, dispatcher: Arc<DeliveryDispatcher>) -> Self {
        Self { store, dispatcher, bots_enabled: Arc::default() }
    }

    /// Ends the pause of a fan-out without bots.
    pub(crate) fn notify_bots_enabled(&self) {
        self.bots_enabled.notify_one();
    }

    /// Fans out while the gate is open, until it is aborted.
    pub(crate) async fn run(self, mut wake_ups: WakeUps) {
        let mut state = FanoutState::default();
        loop {
            self.store.gate().opened().await;
            match self.step(&mut state).await {
                Ok(FanoutStep::More) => {}
                Ok(FanoutStep::Contended) => sleep(CONTENDED_INTERVAL).await,
                Ok(FanoutStep::Done) => drop(timeout(POLL_INTERVAL, wake_ups.recv()).await),
                // Messages cause no query while no bot gets them.
                Ok(FanoutStep::NoBots) => {
                    drop(timeout(POLL_INTERVAL, self.bots_enabled.notified()).await);
                }
                Err(error) => {
                    self.store.invalidate_on(&error);
                    tracing::warn!(
                        error = error_chain(&error),
                        "fan-out of messages to bots failed"
                    );
                    sleep(POLL_INTERVAL).await;
                }
            }
        }
    }

    async fn step(&self, state: &mut FanoutState) -> Result<FanoutStep, Error> {
        let connection = &mut self.store.connection().await?;
        let Some(min_since_position) = state.min_since_position(connection).await? else {
            return Ok(FanoutStep::NoBots);
        };
        let cursor = fanout::cursor(connection).await?;
        if state.cursor != cursor {
            // Another replica may have made deliveries that workers here wait for.
            state.cursor = cursor;
            self.dispatcher.notify_workers();
        }
        let fanned_out_to = cursor.unwrap_or_default().max(min_since_position);
        if Message::newest_position(connection).await? <= fanned_out_to {
            return Ok(FanoutStep::Done);
        }
        if cursor.is_none() {
            fanout::insert_cursor(connection, min_since_position).await?;
        }
        let counts = match fanout::fan_out(connection, min_since_position).await {
            // A chat or a bot was deleted between the snapshot and the insert.
            Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => None,
            Err(error) if classify(&error) == ErrorClass::Busy => None,
            counts => counts?,
        };
        let Some(counts) = counts else { return Ok(FanoutStep::Contended) };
        if counts.deliveries > 0 {
            self.dispatcher.notify_workers();
        }
        state.cursor = fanout::cursor(connection).await?;
        Ok(if counts.messages < PAGE_SIZE { FanoutStep::Done } else { FanoutStep::More })
    }
}

impl FanoutState {
    async fn min_since_position(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<i64>, Error> {
        self.min_since_position.take_if(|(read_at, _)| read_at.elapsed() >= POLL_INTERVAL);
        if self.min_since_position.is_none() {
            let position = Assignment::min_since_position(connection).await?;
            self.min_since_position = position.map(|position| (Instant::now(), position));
        }
        Ok(self.min_since_position.map(|(_, position)| position))
    }
}
