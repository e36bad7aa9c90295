//! Watchers: each receives every state that differs from the last one.

use std::{sync::Arc, time::Duration};

use api::schema::v1::{Drift, SchemaState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::error_chain;

use super::{Observed, Observer};

/// How often the database is read for watchers: other servers and the Diesel CLI change it too.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Follows the state.
pub struct Watcher(watch::Receiver<Option<Arc<Observed>>>);

impl Watcher {
    /// The next state that differs; intermediate ones may be skipped. None once the observer is
    /// gone.
    pub async fn next(&mut self) -> Option<SchemaState> {
        self.0.changed().await.ok()?;
        self.0.borrow_and_update().as_ref().map(|observed| observed.state.clone())
    }
}

impl Observer {
    /// Follows the state from now on.
    pub fn watch(&self) -> Watcher {
        let watcher = Watcher(self.newest.subscribe());
        // `run` does not poll without watchers.
        self.notify_changed();
        watcher
    }

    /// Wakes [`run`](Self::run): the schema has changed.
    pub fn notify_changed(&self) {
        self.changed.notify_one();
    }

    /// Reads the state for watchers, as long as there are any, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(POLL_INTERVAL), if self.newest.receiver_count() > 0 => {}
            }
            if self.newest.receiver_count() == 0 {
                continue;
            }
            if let Err(error) = self.current().await {
                tracing::warn!(error = error_chain(&error), "cannot read the state for watchers");
            }
        }
    }

    /// Keeps a state for callers that waited for it, and wakes watchers if it differs.
    pub(super) fn publish(&self, observed: Observed) {
        self.newest.send_if_modified(|newest| {
            let differs =
                newest.as_ref().is_none_or(|before| differs(&before.state, &observed.state));
            *newest = Some(Arc::new(observed));
            differs
        });
    }
}

/// Whether watchers are notified. Other dependents are no change: two hundred that register would
/// cause two hundred notifications of each.
fn differs(before: &SchemaState, after: &SchemaState) -> bool {
    let essence = |state: &SchemaState| {
        let drift = state.drift.clone().map(|drift| Drift { checked_at: None, ..drift });
        SchemaState { observed_at: None, dependents: Vec::new(), drift, ..state.clone() }
    };
    essence(before) != essence(after)
}
