//! Operations: an Upgrade or a Downgrade belongs to the server, not to its caller. It runs in a
//! task of its own, one at a time in the whole world; callers that ask for the same join it.

mod events;
mod repair;
mod run;
mod stamp;
mod work;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::schema::v1::Event;
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;

use crate::{engine::Engine, error::OperationError, ledger, metrics::Counts, observer::Observer};
use revisions::{Direction, Target};

use events::{Events, Standing};

/// How long an operation waits for another one to end, unless its request says.
pub const WAIT: Duration = Duration::from_secs(60);
/// How long a statement waits for a lock of the database's, unless its request says.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// What is asked for. Two requests that are equal are one operation.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Request {
    /// Upgrade or Downgrade.
    pub direction: Direction,
    /// Where it is to end.
    pub target: Target,
    /// The revision the caller believes is current.
    pub expected_current: Option<String>,
    /// Goes on although a live dependent would break.
    pub force: bool,
    /// How long one statement may wait for a lock of the database's.
    pub lock_timeout: Duration,
    /// Goes on although rows or values would be lost.
    pub allow_data_loss: bool,
    /// The plan that was reviewed; empty where none was.
    pub plan_digest: String,
    /// Who asks.
    pub actor: String,
}

/// The operations of this server.
pub struct Operations {
    observer: Arc<Observer>,
    engine: Engine,
    stopping: CancellationToken,
    /// How long a step goes on after that.
    step_grace: Duration,
    active: Mutex<HashMap<Request, Arc<Events>>>,
    tasks: TaskTracker,
    counts: Counts,
}

impl Operations {
    /// None yet. They begin no step after `stopping`, and stop one that takes longer than its
    /// grace.
    pub fn new(
        observer: Arc<Observer>,
        engine: Engine,
        stopping: CancellationToken,
        step_grace: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            observer,
            engine,
            stopping,
            step_grace,
            active: Mutex::default(),
            tasks: TaskTracker::new(),
            counts: Counts::default(),
        })
    }

    /// Runs what is asked for, or joins the run that does already. The stream can be dropped: the
    /// run goes on.
    ///
    /// # Errors
    /// Another operation runs, and goes on running for longer than `wait`.
    pub async fn start(
        self: &Arc<Self>,
        request: Request,
        wait: Duration,
    ) -> Result<impl Stream<Item = Result<Event, Status>> + use<>, OperationError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (events, joined) = self.join(&request, left);
            // One's own run keeps to the wait by itself, and knows better why it ended.
            let patience = if joined { left } else { Duration::MAX };
            match events.standing(patience).await {
                Some(Standing::Started) => return Ok(events.stream()),
                // The run that was joined had less patience than this caller.
                Some(Standing::GaveUp(_)) if Instant::now() < deadline => {}
                Some(Standing::GaveUp(error)) => return Err(error),
                None => return Err(self.busy().await),
            }
        }
    }

    /// Runs to the end, and tells only how it ended.
    ///
    /// # Errors
    /// As the operation's.
    pub async fn complete(
        self: &Arc<Self>,
        request: Request,
        wait: Duration,
    ) -> Result<(), Status> {
        let mut events = std::pin::pin!(self.start(request, wait).await?);
        while let Some(event) = events.next().await {
            event?;
        }
        Ok(())
    }

    /// Ends in the ledger what a dead server left running, if nobody works.
    ///
    /// # Errors
    /// The database cannot be reached or written.
    pub async fn tidy(&self) -> Result<(), OperationError> {
        let left = self.observer.history().await?.last_operation;
        let Some(left) = left.filter(|last| last.outcome == "running") else { return Ok(()) };
        let session = self.engine.try_session().await;
        let session = session?;
        if session.is_some() {
            ledger::interrupt(&mut self.observer.connection().await?).await?;
            self.counts.operation(&left.kind, "interrupted");
            self.observer.changed();
        }
        Ok(())
    }

    /// What was done here.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Ends when the step in hand has had its grace.
    async fn overdue(&self) {
        self.stopping.cancelled().await;
        tokio::time::sleep(self.step_grace).await;
    }

    /// Waits until no operation runs here.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The run of such a request, and whether it was there already.
    fn join(self: &Arc<Self>, request: &Request, wait: Duration) -> (Arc<Events>, bool) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = active.get(request) {
            return (events.clone(), true);
        }
        let events = Arc::new(Events::new());
        active.insert(request.clone(), events.clone());
        let this = self.clone();
        let (request, told) = (request.clone(), events.clone());
        self.tasks.spawn(async move {
            // Forgotten on every way out, a panic included.
            let _active = Active { operations: &this, request: &request };
            let result = run::run(&this, &request, wait, &told).await;
            match &result {
                Ok(()) => {}
                Err(OperationError::Unreachable { cause }) => {
                    tracing::error!(cause, "the database was lost, or cannot be reached");
                }
                Err(error) => tracing::warn!("not done: {error}"),
            }
            this.forget(&request);
            told.end(result);
        });
        (events, false)
    }

    fn forget(&self, request: &Request) {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).remove(request);
    }

    /// ABORTED, with what runs.
    async fn busy(&self) -> OperationError {
        let running = match self.observer.current().await {
            Ok(state) => state.running.as_ref().map(crate::state::describe),
            Err(_) => None,
        };
        OperationError::Busy { running: running.unwrap_or_else(|| "one that just began".into()) }
    }
}

struct Active<'a> {
    operations: &'a Operations,
    request: &'a Request,
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.operations.forget(self.request);
    }
}
