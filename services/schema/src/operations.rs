//! Operations: an Upgrade or a Downgrade belongs to the server, not to its caller. It runs in a
//! task of its own, one at a time across all servers; callers that ask for the same join it.

mod alembic;
mod error;
mod events;
mod lock;
mod permission;
mod repair;
mod request;
mod run;
mod stamp;
mod steps;

use std::{collections::HashMap, sync::Arc, time::Duration};

use api::schema::v1::Event;
use futures_util::{Stream, StreamExt as _};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{display::running_operation, engine::Engine, metrics::Counts, observer::Observer};

pub use error::{OperationError, StepError};
pub use request::{DEFAULT_LOCK_TIMEOUT, DEFAULT_WAIT, Request};

use events::{Events, Start};

/// The operations of this server.
pub struct Operations {
    observer: Arc<Observer>,
    engine: Arc<dyn Engine>,
    shutdown: CancellationToken,
    /// How long the step in progress may go on after `shutdown`.
    step_grace: Duration,
    active: Mutex<HashMap<Request, Arc<Events>>>,
    tasks: TaskTracker,
    counts: Counts,
}

impl Operations {
    /// Operations begin no step after `shutdown`, and cancel a step that takes longer than
    /// `step_grace` from then.
    pub fn new(
        observer: Arc<Observer>,
        engine: Arc<dyn Engine>,
        shutdown: CancellationToken,
        step_grace: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            observer,
            engine,
            shutdown,
            step_grace,
            active: Mutex::default(),
            tasks: TaskTracker::new(),
            counts: Counts::default(),
        })
    }

    /// Starts an operation, or joins the one with the same request. The operation goes on when the
    /// stream is dropped.
    ///
    /// # Errors
    /// Another operation holds the lock for longer than `wait`.
    pub async fn start(
        self: &Arc<Self>,
        request: Request,
        wait: Duration,
    ) -> Result<impl Stream<Item = Result<Event, OperationError>> + use<>, OperationError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (events, has_joined) = self.join(&request, left);
            // The operation that this call spawned keeps to the wait by itself, and reports why it ended.
            let timeout = if has_joined { left } else { Duration::MAX };
            match events.start(timeout).await {
                Some(Start::Started) => return Ok(events.stream()),
                // The operation that was joined had a shorter wait than this call.
                Some(Start::GaveUp(_)) if Instant::now() < deadline => {}
                Some(Start::GaveUp(error)) => return Err(error),
                None => return Err(self.busy().await),
            }
        }
    }

    /// Runs an operation to its end.
    ///
    /// # Errors
    /// The operation failed.
    pub async fn complete(
        self: &Arc<Self>,
        request: Request,
        wait: Duration,
    ) -> Result<(), OperationError> {
        let mut events = std::pin::pin!(self.start(request, wait).await?);
        while let Some(event) = events.next().await {
            event?;
        }
        Ok(())
    }

    /// What this server did.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Waits until no operation runs here.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The operation with this request, and whether it ran already.
    fn join(self: &Arc<Self>, request: &Request, wait: Duration) -> (Arc<Events>, bool) {
        let mut active = self.active.lock();
        if let Some(events) = active.get(request) {
            return (events.clone(), true);
        }
        let events = Arc::new(Events::new());
        active.insert(request.clone(), events.clone());
        let this = self.clone();
        let (request, sender) = (request.clone(), events.clone());
        self.tasks.spawn(async move {
            // Removed on every way out, a panic included.
            let _active = Active { operations: &this, request: &request };
            let result = run::run(&this, &request, wait, &sender).await;
            if let Err(error) = &result {
                error.log();
            }
            this.remove(&request);
            sender.end(result);
        });
        (events, false)
    }

    fn remove(&self, request: &Request) {
        self.active.lock().remove(request);
    }

    async fn busy(&self) -> OperationError {
        let running = match self.observer.current().await {
            Ok(state) => state.running.as_ref().map(running_operation),
            Err(_) => None,
        };
        OperationError::Busy { running: running.unwrap_or_else(|| "just started".into()) }
    }
}

struct Active<'a> {
    operations: &'a Operations,
    request: &'a Request,
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.operations.remove(self.request);
    }
}
