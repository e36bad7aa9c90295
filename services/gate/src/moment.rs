//! A moment that people read and machines measure from.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: SystemTime,
    instant: Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { at: SystemTime::now(), instant: Instant::now() }
    }

    /// How long ago it was, whatever was done to the system's clock.
    pub(crate) fn age(self) -> Duration {
        self.instant.elapsed()
    }
}
