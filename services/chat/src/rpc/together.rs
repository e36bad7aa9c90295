//! One read for all who ask the same and wait: the page that everybody opens with is asked for by
//! many at once, and is read, and made, once for those who came before that read began.
//!
//! Nobody is given what was read before they asked: a read that has begun takes in no more callers,
//! and those who come meanwhile share the next one. It is called single flight elsewhere
//! (<https://pkg.go.dev/golang.org/x/sync/singleflight>), where a late caller joins what has begun.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::sync::Semaphore;

/// Reads of one key at once. More would be read, and no sooner.
const AT_ONCE: usize = 1;

type Read<V> = Shared<BoxFuture<'static, V>>;

/// Reads by what is asked for.
#[derive(Debug)]
pub(super) struct Together<K, V: Clone> {
    turns: Mutex<HashMap<K, Turns<V>>>,
}

/// The reads of one key.
#[derive(Debug)]
struct Turns<V: Clone> {
    running: Arc<Semaphore>,
    /// The one that has not begun.
    next: Option<WeakShared<BoxFuture<'static, V>>>,
}

impl<V: Clone> Turns<V> {
    fn none() -> Self {
        Self { running: Arc::new(Semaphore::new(AT_ONCE)), next: None }
    }

    fn next(&self) -> Option<Read<V>> {
        self.next.as_ref()?.upgrade()
    }
}

impl<K, V> Together<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { turns: Mutex::default() })
    }

    /// What `read` comes to, begun by whoever came first of those who share it. It ends unfinished
    /// where all of them are gone.
    pub(super) async fn read<F>(self: &Arc<Self>, key: K, read: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        // Dropped after the read is, whoever ends or is gone.
        let _left = Left { together: self, key: &key };
        self.next(&key, read).await
    }

    fn next<F>(self: &Arc<Self>, key: &K, read: impl FnOnce() -> F) -> Read<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(key.clone()).or_insert_with(Turns::none);
        if let Some(next) = turn.next() {
            return next;
        }
        let (running, read) = (Arc::clone(&turn.running), read());
        let (together, key) = (Arc::clone(self), key.clone());
        let next = async move {
            // It is never closed.
            let _turn = running.acquire_owned().await;
            together.begins(&key);
            read.await
        };
        let next = next.boxed().shared();
        turn.next = next.downgrade();
        next
    }

    fn begins(&self, key: &K) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get_mut(key) {
            turn.next = None;
        }
    }
}

/// Somebody no longer waits: where nobody does, and nothing runs, nothing is kept.
struct Left<'a, K: Eq + Hash, V: Clone> {
    together: &'a Together<K, V>,
    key: &'a K,
}

impl<K: Eq + Hash, V: Clone> Drop for Left<'_, K, V> {
    fn drop(&mut self) {
        let mut turns = self.together.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle =
            |turn: &Turns<V>| turn.running.available_permits() == AT_ONCE && turn.next().is_none();
        if turns.get(self.key).is_some_and(is_idle) {
            turns.remove(self.key);
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

    const LONG: Duration = Duration::from_millis(20);

    /// A read that takes some time; the number of reads that had begun when it began.
    fn read(begun: &Arc<AtomicUsize>) -> impl FnOnce() -> BoxFuture<'static, usize> + use<> {
        let begun = Arc::clone(begun);
        move || {
            async move {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(LONG).await;
                number
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_a_read_that_began_after_they_came() {
        let (together, begun) = (Together::new(), Arc::new(AtomicUsize::new(0)));
        let asks = (0..100).map(|_| async {
            let before = begun.load(Ordering::SeqCst);
            let number = together.read("a", read(&begun)).await;
            assert!(number > before, "it had begun before");
        });
        join_all(asks).await;
        // They all came before the first one began.
        assert!(begun.load(Ordering::SeqCst) <= 3, "{begun:?}");
        let late = (0..100_u32).map(|n| {
            let (together, begun) = (Arc::clone(&together), Arc::clone(&begun));
            async move {
                sleep(LONG * n / 10).await;
                let before = begun.load(Ordering::SeqCst);
                assert!(together.read("a", read(&begun)).await > before, "it had begun before");
            }
        });
        join_all(late).await;
        assert!(begun.load(Ordering::SeqCst) < 50, "{begun:?}");
        let kept = together.turns.lock().unwrap();
        assert!(kept.is_empty(), "{kept:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_gone_leaves_nothing_and_takes_nothing_along() {
        let (together, begun) = (Together::new(), Arc::new(AtomicUsize::new(0)));
        // The first begins at once; the others share the second, and one does not wait for it.
        let ask = || together.read("a", read(&begun));
        let gone = timeout(LONG * 3 / 2, ask());
        let (_, gone, other) = tokio::join!(ask(), gone, ask());
        assert!(gone.is_err());
        assert_eq!((other, begun.load(Ordering::SeqCst)), (2, 2));
        let alone = timeout(LONG / 2, together.read("b", read(&begun))).await;
        assert!(alone.is_err());
        let kept = together.turns.lock().unwrap();
        assert!(kept.is_empty(), "{kept:?}");
    }
}
