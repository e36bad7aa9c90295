//! The response budget: how many bytes of unread responses a connection, and all connections of a
//! listener together, may hold.
//!
//! HTTP/2 lets a client keep its window closed and go on calling: each response would stay in
//! memory until it is read, as many as there may be calls. So a response reserves its bytes before
//! its head is sent, and each chunk carries its share until it was written to the socket or
//! dropped, whichever buffer it is in.

mod body;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

pub(crate) use body::BudgetedBody;

use crate::log_throttle::LogThrottle;

const MIB: usize = 1024 * 1024;
/// Four of the largest pages.
const MAX_CONNECTION_BYTES: usize = 16 * MIB;
const MAX_LISTENER_BYTES: usize = 128 * MIB;
/// What a call costs beside the bytes of its response.
const CALL_OVERHEAD_BYTES: usize = 1024;

/// How long a connection may write nothing while the listener's budget is short.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The budget that the connections of a listener share.
#[derive(Debug)]
pub(crate) struct ListenerBudget {
    free: Arc<Semaphore>,
    refusals: LogThrottle,
}

impl ListenerBudget {
    pub(crate) fn new() -> Arc<Self> {
        let free = Arc::new(Semaphore::new(MAX_LISTENER_BYTES));
        Arc::new(Self { free, refusals: LogThrottle::default() })
    }

    fn is_short(&self) -> bool {
        self.free.available_permits() < MAX_LISTENER_BYTES / 2
    }
}

/// The budget of one connection.
#[derive(Debug)]
pub(crate) struct ResponseBudget {
    listener: Arc<ListenerBudget>,
    free: Arc<Semaphore>,
    /// When a chunk was last written, or the first of those that wait was made.
    last_progress: Mutex<Instant>,
}

impl ResponseBudget {
    pub(crate) fn new(listener: Arc<ListenerBudget>) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(MAX_CONNECTION_BYTES));
        Arc::new(Self { listener, free, last_progress: Mutex::new(Instant::now()) })
    }

    /// Whether it holds bytes that others need, and its client reads nothing.
    pub(crate) fn is_stalled(&self) -> bool {
        self.listener.is_short()
            && self.unread_bytes() > 0
            && self.last_progress.lock().elapsed() >= STALL_TIMEOUT
    }

    pub(crate) fn unread_bytes(&self) -> usize {
        MAX_CONNECTION_BYTES.saturating_sub(self.free.available_permits())
    }

    /// Reserves bytes, or nothing where either budget is exhausted.
    pub(crate) fn try_reserve(&self, size: u32) -> Option<Reservation> {
        // The first bytes after a silence, on a stream too: the client has not stalled on them.
        if self.unread_bytes() == 0 {
            self.record_progress();
        }
        let connection = Arc::clone(&self.free).try_acquire_many_owned(size).ok()?;
        let listener = Arc::clone(&self.listener.free).try_acquire_many_owned(size).ok()?;
        Some(Reservation { connection, listener })
    }

    pub(crate) fn log_refusal(&self) {
        if self.listener.refusals.admit() {
            tracing::warn!(
                connection_bytes = self.unread_bytes(),
                "unread responses exhaust the response budget; refusing further ones"
            );
        }
    }

    fn record_progress(&self) {
        *self.last_progress.lock() = Instant::now();
    }
}

/// Bytes reserved in the budgets of a connection and of its listener.
#[derive(Debug)]
pub(crate) struct Reservation {
    connection: OwnedSemaphorePermit,
    listener: OwnedSemaphorePermit,
}

impl Reservation {
    /// Splits a part off; `None` where less is reserved.
    fn split(&mut self, size: usize) -> Option<Self> {
        Some(Self {
            connection: self.connection.split(size)?,
            listener: self.listener.split(size)?,
        })
    }
}

/// What a response reserves: at most the whole budget of a connection, so that one larger than that
/// is sent alone.
pub(crate) fn reservation_size(bytes: &Bytes) -> u32 {
    u32::try_from((bytes.len() + CALL_OVERHEAD_BYTES).min(MAX_CONNECTION_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_stalls_where_it_writes_nothing_and_the_listener_is_short() {
        let listener = ListenerBudget::new();
        let size = reservation_size(&Bytes::from(vec![0; MAX_CONNECTION_BYTES]));
        let budgets: Vec<_> = (0..5).map(|_| ResponseBudget::new(Arc::clone(&listener))).collect();
        let first = budgets[0].try_reserve(size).unwrap();
        assert!(budgets[0].try_reserve(1).is_none(), "the connection's budget is exhausted");
        tokio::time::advance(STALL_TIMEOUT).await;
        assert!(!budgets[0].is_stalled(), "the listener has bytes for the others");

        let _others: Vec<_> =
            budgets[1..].iter().map(|budget| budget.try_reserve(size).unwrap()).collect();
        assert!(budgets[0].is_stalled());
        assert!(!budgets[1].is_stalled(), "its bytes came just now");
        budgets[0].record_progress();
        assert!(!budgets[0].is_stalled());
        tokio::time::advance(STALL_TIMEOUT).await;
        drop(first);
        assert!(!budgets[0].is_stalled(), "it holds nothing");
    }
}
