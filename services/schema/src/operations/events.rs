//! The events of a run: kept as long as it runs, so that everyone who joins reads all of them.
//! The run never waits for a reader.

use std::{sync::Arc, time::Duration};

use api::schema::v1::{Event, event::Kind};
use futures_util::{Stream, stream};
use tokio::{sync::watch, time::Instant};
use tonic::Status;

use crate::error::OperationError;

#[derive(Clone, Debug, Default)]
struct Progress {
    events: Vec<Event>,
    end: Option<Result<(), OperationError>>,
}

/// The writing end.
#[derive(Debug)]
pub struct Events {
    progress: watch::Sender<Progress>,
    begun: Instant,
}

/// How a run stands, for one who may want to wait no longer.
#[derive(Debug)]
pub enum Standing {
    /// It holds the lock, or has ended with something to read.
    Started,
    /// It ended before it started: its wait was over.
    GaveUp(OperationError),
}

impl Events {
    /// Of a run that begins now.
    pub fn new() -> Self {
        Self { progress: watch::Sender::default(), begun: Instant::now() }
    }

    /// Tells an event.
    pub fn tell(&self, kind: Kind, mut event: Event) {
        event.set_kind(kind);
        event.elapsed = prost_types::Duration::try_from(self.begun.elapsed()).ok();
        self.progress.send_modify(|progress| progress.events.push(event));
    }

    /// Ends the run.
    pub fn end(&self, result: Result<(), OperationError>) {
        self.progress.send_modify(|progress| progress.end = Some(result));
    }

    /// Waits, up to `patience`, until the run holds the lock. None where it still does not.
    pub async fn standing(&self, patience: Duration) -> Option<Standing> {
        let mut reader = self.progress.subscribe();
        let decided =
            reader.wait_for(|progress| !progress.events.is_empty() || progress.end.is_some());
        let progress = tokio::time::timeout(patience, decided).await.ok()?.ok()?;
        Some(match (&progress.events[..], &progress.end) {
            ([], Some(Err(error @ OperationError::Busy { .. }))) => Standing::GaveUp(error.clone()),
            _ => Standing::Started,
        })
    }

    /// All events, from the first, and the end.
    pub fn stream(self: &Arc<Self>) -> impl Stream<Item = Result<Event, Status>> + use<> {
        let reader = self.progress.subscribe();
        stream::unfold(Some((reader, 0)), |state| async {
            let (mut reader, next) = state?;
            let news = |progress: &Progress| progress.events.len() > next || progress.end.is_some();
            let (event, end) = match reader.wait_for(news).await {
                Ok(progress) => (progress.events.get(next).cloned(), progress.end.clone()),
                // The run is gone without an end: it panicked, and its log says how.
                Err(_) => return Some((Err(wire::Problem::internal().into()), None)),
            };
            match (event, end) {
                (Some(event), _) => Some((Ok(event), Some((reader, next + 1)))),
                (None, Some(Err(error))) => Some((Err(error.into()), None)),
                (None, _) => None,
            }
        })
    }
}
