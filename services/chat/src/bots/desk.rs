//! The desk: where the workers of this process get their deliveries.
//!
//! For each type one worker looks at a time, the others wait for their turn: a message wakes as
//! many queries as there are types, however many workers.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use database::Connection;
use tokio::{
    sync::{Mutex as Turn, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wire::error_chain;

use crate::{
    bus::Bus,
    error::Error,
    models::{
        claiming::{Claim, Claimed},
        clock,
        delivery::{Delivery, Failing, Handed},
    },
    store::Store,
};

/// How often the one who looks does so though nothing woke it: what a lost wake-up costs, and how
/// late a lease that ran out may be seen.
const PACE: Duration = Duration::from_secs(1);
/// Deliveries that one worker takes at once: those who wait get theirs too.
const HAND: usize = 16;
/// Leases that ran out and are looked after at once.
const EXPIRED: i64 = 100;
/// How long workers have at the end to give back what they hold.
const FAREWELL: Duration = Duration::from_secs(5);

/// The desk of this process.
pub(crate) struct Desk {
    pub(super) store: Store,
    /// Hears of the replies.
    pub(super) bus: Bus,
    /// Failures after which a delivery is parked.
    pub(super) most: i32,
    /// The turn of each type that somebody attends to.
    turns: Mutex<HashMap<String, Weak<Turn<()>>>>,
    woken: watch::Sender<()>,
    pub(super) workers: TaskTracker,
}

impl Desk {
    pub(crate) fn new(store: Store, bus: Bus, failures: NonZeroU32) -> Self {
        Self {
            store,
            bus,
            most: failures.get().try_into().unwrap_or(i32::MAX),
            turns: Mutex::default(),
            woken: watch::Sender::new(()),
            workers: TaskTracker::new(),
        }
    }

    /// Says that there may be something to hand out.
    pub(crate) fn wake(&self) {
        self.woken.send_replace(());
    }

    /// Waits until every worker has given back what it held: to be called when no new one can come.
    pub(crate) async fn close(&self) {
        self.workers.close();
        if timeout(FAREWELL, self.workers.wait()).await.is_err() {
            tracing::warn!("some workers hold deliveries at the end: their leases run out");
        }
    }

    /// The turn of a type.
    pub(super) fn turn(&self, kind: &str) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(kind).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::new(()));
        turns.insert(kind.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// At most so many deliveries as soon as there are any; none where it is told to stop. What it
    /// has begun to claim it returns: it is to be waited for, and not dropped.
    pub(super) async fn take(
        &self,
        turn: &Turn<()>,
        claim: Claim,
        stop: &CancellationToken,
    ) -> Vec<Handed> {
        let Some(_turn) = stop.run_until_cancelled(turn.lock()).await else { return Vec::new() };
        let mut woken = self.woken.subscribe();
        while !stop.is_cancelled() {
            woken.mark_unchanged();
            match self.look(claim.clone()).await {
                Ok(handed) if handed.is_empty() => {}
                Ok(handed) => {
                    if handed.iter().any(|handed| handed.delivery.attempt == 1) {
                        // Bots of a higher priority number may have waited for this.
                        self.wake();
                    }
                    return handed;
                }
                Err(error) => {
                    self.store.heed(&error);
                    tracing::warn!(
                        error = error_chain(&error),
                        "deliveries could not be looked for"
                    );
                    stop.run_until_cancelled(tokio::time::sleep(PACE)).await;
                    continue;
                }
            }
            stop.run_until_cancelled(timeout(PACE, woken.changed())).await;
        }
        Vec::new()
    }

    async fn look(&self, claim: Claim) -> Result<Vec<Handed>, Error> {
        let connection = &mut self.store.connection().await?;
        self.expire(connection).await?;
        let limit = claim.limit.min(HAND as i64);
        let claimed = Claim { limit, ..claim }.take(connection).await?;
        if claimed.is_empty() {
            return Ok(Vec::new());
        }
        match Delivery::handed(connection, &claimed).await {
            Ok(handed) => Ok(handed),
            Err(error) => {
                self.give_back(&claimed).await;
                Err(error.into())
            }
        }
    }

    /// Counts what was not answered in time, of whatever type.
    async fn expire(&self, connection: &mut Connection) -> Result<(), Error> {
        let now = clock::now(connection).await?;
        let error = "not answered within its lease";
        for delivery in Delivery::expired(connection, now, EXPIRED).await? {
            let failing = Failing { now, most: self.most, error, back_off: false };
            let parked = delivery.fail(connection, failing).await?;
            tracing::info!(
                bot = delivery.bot_id,
                attempt = delivery.attempt,
                parked,
                "a delivery was not answered within its lease"
            );
        }
        Ok(())
    }

    /// Gives deliveries back, and counts nothing.
    pub(super) async fn give_back(&self, claimed: &[Claimed]) {
        let all = async {
            let connection = &mut self.store.connection().await?;
            for claimed in claimed {
                Delivery::give_back(connection, claimed).await?;
            }
            Ok::<_, Error>(())
        };
        match all.await {
            Ok(()) => self.wake(),
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(error, "deliveries were not given back: their leases run out");
            }
        }
    }

    /// Counts a failure of each, unless something else became of it.
    pub(super) async fn fail(&self, claimed: &[Claimed], error: &str) -> Result<(), Error> {
        let connection = &mut self.store.connection().await?;
        let now = clock::now(connection).await?;
        for claimed in claimed {
            let Some(delivery) = Delivery::in_hand(connection, claimed).await? else { continue };
            let failing = Failing { now, most: self.most, error, back_off: true };
            if delivery.fail(connection, failing).await? {
                tracing::warn!(bot = delivery.bot_id, "a delivery failed too often, and is parked");
            }
        }
        Ok(())
    }
}
