use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

/// The time before which a pooled connection must not have been opened to be used again. Clones
/// share it.
#[derive(Clone)]
pub(super) struct OldestUsable(Arc<Mutex<Instant>>);

impl OldestUsable {
    pub(super) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Retires every connection that is open now.
    pub(super) fn retire_all(&self) {
        *self.0.lock() = Instant::now();
    }

    pub(super) fn permits(&self, opened: Instant) -> bool {
        opened >= *self.0.lock()
    }
}
