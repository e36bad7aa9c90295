//! The dispatcher: leases deliveries to the workers of this process.
//!
//! For each type of bot one worker queries the database at a time and the others wait: a message
//! costs one query for each type, however many workers there are.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Weak},
    time::Duration,
};

use database::Connection;
use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wire::error_chain;

use crate::{
    bus::Bus,
    error::Error,
    models::{
        clock,
        delivery::{Delivery, DeliveryAttempt, DeliveryFailure, LeasedDelivery},
        delivery_claim::DeliveryClaim,
    },
    store::Store,
};

/// How often the database is queried without a wake-up: the cost of a lost one, and the delay after
/// which an expired lease is seen.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Deliveries of one lease, so that the workers that wait get some too.
const MAX_BATCH: i64 = 16;
/// Expired leases that are failed before one lease.
const MAX_EXPIRED: i64 = 100;
/// How long workers may take to release their deliveries at shutdown.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct DeliveryDispatcher {
    pub(super) store: Store,
    pub(super) bus: Bus,
    /// Failures at which a delivery is parked.
    max_failures: i32,
    /// The lock of each type of bot that a worker runs.
    query_locks: Mutex<HashMap<String, Weak<QueryLock>>>,
    deliveries_available: watch::Sender<()>,
    pub(super) workers: TaskTracker,
}

/// Held by the worker that queries the database for its type.
pub(super) type QueryLock = AsyncMutex<()>;

impl DeliveryDispatcher {
    pub(crate) fn new(store: Store, bus: Bus, max_failures: NonZeroU32) -> Self {
        Self {
            store,
            bus,
            max_failures: max_failures.get().try_into().unwrap_or(i32::MAX),
            query_locks: Mutex::default(),
            deliveries_available: watch::Sender::new(()),
            workers: TaskTracker::new(),
        }
    }

    /// Wakes the workers that wait for deliveries.
    pub(crate) fn notify_workers(&self) {
        self.deliveries_available.send_replace(());
    }

    /// Waits until every worker has released its deliveries. Call it when no worker can start.
    pub(crate) async fn drain(&self) {
        self.workers.close();
        if timeout(RELEASE_TIMEOUT, self.workers.wait()).await.is_err() {
            let workers = self.workers.len();
            tracing::warn!(workers, "deliveries not released in time; their leases will expire");
        }
    }

    pub(super) fn query_lock(&self, bot_type: &str) -> Arc<QueryLock> {
        let mut locks = self.query_locks.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(bot_type).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(QueryLock::default());
        locks.insert(bot_type.to_owned(), Arc::downgrade(&lock));
        lock
    }

    /// Waits for deliveries and leases them; returns none when `stop` is cancelled. Not cancel
    /// safe: dropping the future would leave deliveries leased that no worker got.
    pub(super) async fn lease(
        &self,
        query_lock: &QueryLock,
        claim: DeliveryClaim,
        stop: &CancellationToken,
    ) -> Vec<LeasedDelivery> {
        let Some(_guard) = stop.run_until_cancelled(query_lock.lock()).await else {
            return Vec::new();
        };
        let mut available = self.deliveries_available.subscribe();
        while !stop.is_cancelled() {
            available.mark_unchanged();
            match self.try_lease(claim.clone()).await {
                Ok(leased) if leased.is_empty() => {}
                Ok(leased) => {
                    if leased.iter().any(|leased| leased.delivery.attempt == 1) {
                        // Bots with a higher priority number may have waited for this.
                        self.notify_workers();
                    }
                    return leased;
                }
                Err(error) => {
                    self.store.invalidate_on(&error);
                    tracing::warn!(error = error_chain(&error), "leasing deliveries failed");
                    stop.run_until_cancelled(sleep(POLL_INTERVAL)).await;
                    continue;
                }
            }
            stop.run_until_cancelled(timeout(POLL_INTERVAL, available.changed())).await;
        }
        Vec::new()
    }

    async fn try_lease(&self, claim: DeliveryClaim) -> Result<Vec<LeasedDelivery>, Error> {
        let connection = &mut self.store.connection().await?;
        self.fail_expired(connection).await?;
        let claim = DeliveryClaim { limit: claim.limit.min(MAX_BATCH), ..claim };
        let attempts = claim.execute(connection).await?;
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        match LeasedDelivery::load(connection, &attempts).await {
            Ok(leased) => Ok(leased),
            Err(error) => {
                self.release(&attempts).await;
                Err(error.into())
            }
        }
    }

    /// Records a failure of deliveries of any type whose lease expired.
    async fn fail_expired(&self, connection: &mut Connection) -> Result<(), Error> {
        let now = clock::now(connection).await?;
        for delivery in Delivery::expired(connection, now, MAX_EXPIRED).await? {
            let failure = DeliveryFailure {
                now,
                max_failures: self.max_failures,
                error: "lease expired",
                is_delayed: false,
            };
            let parked = delivery.record_failure(connection, failure).await?;
            tracing::info!(
                bot = delivery.bot_id,
                position = delivery.position,
                attempt = delivery.attempt,
                parked,
                "delivery lease expired"
            );
        }
        Ok(())
    }

    /// Ends leases without a failure.
    pub(super) async fn release(&self, attempts: &[DeliveryAttempt]) {
        let release_all = async {
            let connection = &mut self.store.connection().await?;
            for attempt in attempts {
                Delivery::release(connection, attempt).await?;
            }
            Ok::<_, Error>(())
        };
        match release_all.await {
            Ok(()) => self.notify_workers(),
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(error, "releasing deliveries failed; their leases will expire");
            }
        }
    }

    /// Records a failure of each attempt that is still leased.
    pub(super) async fn record_failure(
        &self,
        attempts: &[DeliveryAttempt],
        error: &str,
    ) -> Result<(), Error> {
        let connection = &mut self.store.connection().await?;
        let now = clock::now(connection).await?;
        let failure =
            DeliveryFailure { now, max_failures: self.max_failures, error, is_delayed: true };
        for attempt in attempts {
            let Some(delivery) = Delivery::find_leased(connection, attempt).await? else {
                continue;
            };
            if delivery.record_failure(connection, failure).await? {
                let DeliveryAttempt { position, bot_id, attempt } = attempt;
                tracing::warn!(bot = bot_id, position, attempt, "delivery parked");
            }
        }
        Ok(())
    }
}
