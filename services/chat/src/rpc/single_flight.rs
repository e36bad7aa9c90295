//! Reads that are shared by callers that wait for the same result.
//!
//! The first page of a list is requested by many callers at a time: it is read and encoded once for
//! those that asked before the read began. No caller gets a result that was read before it asked: a
//! read in progress takes no more callers, and those that come meanwhile share the next one. In
//! that it differs from <https://pkg.go.dev/golang.org/x/sync/singleflight>, where a late caller
//! joins the read in progress.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::sync::Semaphore;

/// Reads of one key at a time: a second one would return no sooner.
const MAX_READS_PER_KEY: usize = 1;

type Read<V> = Shared<BoxFuture<'static, V>>;

/// Shared reads, by key.
#[derive(Debug)]
pub(super) struct SingleFlight<K, V: Clone> {
    reads: Mutex<HashMap<K, KeyReads<V>>>,
}

/// The reads of one key.
#[derive(Debug)]
struct KeyReads<V: Clone> {
    permits: Arc<Semaphore>,
    /// The read that has not begun.
    next: Option<WeakShared<BoxFuture<'static, V>>>,
}

impl<V: Clone> KeyReads<V> {
    fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_READS_PER_KEY)), next: None }
    }

    fn next(&self) -> Option<Read<V>> {
        self.next.as_ref()?.upgrade()
    }

    fn is_idle(&self) -> bool {
        self.permits.available_permits() == MAX_READS_PER_KEY && self.next().is_none()
    }
}

impl<K: Eq + Hash, V: Clone> SingleFlight<K, V> {
    fn reads(&self) -> MutexGuard<'_, HashMap<K, KeyReads<V>>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { reads: Mutex::default() })
    }

    /// The result of `read`, which is called by the first of the callers that share it. The read is
    /// cancelled when all of them are.
    pub(super) async fn read<F>(self: &Arc<Self>, key: K, read: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        // Dropped after the read, also where this caller is cancelled.
        let _cleanup = Cleanup { flight: self, key: &key };
        self.join_next(&key, read).await
    }

    fn join_next<F>(self: &Arc<Self>, key: &K, read: impl FnOnce() -> F) -> Read<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut reads = self.reads();
        let of_key = reads.entry(key.clone()).or_insert_with(KeyReads::new);
        if let Some(next) = of_key.next() {
            return next;
        }
        let (permits, read) = (Arc::clone(&of_key.permits), read());
        let (flight, key) = (Arc::clone(self), key.clone());
        let next = async move {
            // The semaphore is never closed.
            let _permit = permits.acquire_owned().await;
            flight.begin(&key);
            read.await
        };
        let next = next.boxed().shared();
        of_key.next = next.downgrade();
        next
    }

    /// From here on, callers share the read after this one.
    fn begin(&self, key: &K) {
        if let Some(of_key) = self.reads().get_mut(key) {
            of_key.next = None;
        }
    }
}

/// Removes a key that has no reads left.
struct Cleanup<'a, K: Eq + Hash, V: Clone> {
    flight: &'a SingleFlight<K, V>,
    key: &'a K,
}

impl<K: Eq + Hash, V: Clone> Drop for Cleanup<'_, K, V> {
    fn drop(&mut self) {
        let mut reads = self.flight.reads();
        if reads.get(self.key).is_some_and(KeyReads::is_idle) {
            reads.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures_util::future::join_all;
    use tokio::time::{sleep, timeout};

    use super::*;

    const READ_TIME: Duration = Duration::from_millis(20);

    /// A read that takes some time; its result is its number in the order of beginning.
    fn read(begun: &Arc<AtomicUsize>) -> impl FnOnce() -> BoxFuture<'static, usize> + use<> {
        let begun = Arc::clone(begun);
        move || {
            async move {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(READ_TIME).await;
                number
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_share_a_read_that_began_after_they_came() {
        let (flight, begun) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        let calls = (0..100).map(|_| async {
            let before = begun.load(Ordering::SeqCst);
            let number = flight.read("a", read(&begun)).await;
            assert!(number > before, "it had begun before");
        });
        join_all(calls).await;
        // They all came before the first one began.
        assert!(begun.load(Ordering::SeqCst) <= 3, "{begun:?}");
        let late = (0..100_u32).map(|n| {
            let (flight, begun) = (Arc::clone(&flight), Arc::clone(&begun));
            async move {
                sleep(READ_TIME * n / 10).await;
                let before = begun.load(Ordering::SeqCst);
                assert!(flight.read("a", read(&begun)).await > before, "it had begun before");
            }
        });
        join_all(late).await;
        assert!(begun.load(Ordering::SeqCst) < 50, "{begun:?}");
        let kept = flight.reads();
        assert!(kept.is_empty(), "{kept:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_caller_cancels_no_other_and_leaves_no_key() {
        let (flight, begun) = (SingleFlight::new(), Arc::new(AtomicUsize::new(0)));
        // The first read begins; the other callers share the second, and one of them is cancelled.
        let call = || flight.read("a", read(&begun));
        let cancelled = timeout(READ_TIME * 3 / 2, call());
        let (_, cancelled, other) = tokio::join!(call(), cancelled, call());
        assert!(cancelled.is_err());
        assert_eq!((other, begun.load(Ordering::SeqCst)), (2, 2));
        let only_caller = timeout(READ_TIME / 2, flight.read("b", read(&begun))).await;
        assert!(only_caller.is_err());
        let kept = flight.reads();
        assert!(kept.is_empty(), "{kept:?}");
    }
}
