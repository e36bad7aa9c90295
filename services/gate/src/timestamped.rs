//! A value and when it was learned.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct Timestamped<T> {
    pub(crate) value: T,
    /// For people; ages are by the monotonic clock.
    pub(crate) at: SystemTime,
    instant: Instant,
}

impl<T> Timestamped<T> {
    pub(crate) fn now(value: T) -> Self {
        Self { value, at: SystemTime::now(), instant: Instant::now() }
    }

    pub(crate) fn age(&self) -> Duration {
        self.age_at(Instant::now())
    }

    pub(crate) fn age_at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.instant)
    }
}
