//! The events of an operation: kept as long as it runs, so that every caller that joins reads all of
//! them. The operation never waits for a reader.

use std::{sync::Arc, time::Duration};

use api::schema::v1::{Event, event::Kind};
use futures_util::{Stream, stream};
use tokio::{sync::watch, time::Instant};

use super::OperationError;

#[derive(Clone, Debug, Default)]
struct Progress {
    events: Vec<Event>,
    end: Option<Result<(), OperationError>>,
}

/// The sender.
#[derive(Debug)]
pub(super) struct Events {
    progress: watch::Sender<Progress>,
    begun: Instant,
}

/// Whether an operation began.
#[derive(Debug)]
pub(super) enum Start {
    /// It holds the lock, or has ended with something to read.
    Started,
    /// It ended before it began: its wait was over.
    GaveUp(OperationError),
}

impl Events {
    /// Of an operation that begins now.
    pub fn new() -> Self {
        Self { progress: watch::Sender::default(), begun: Instant::now() }
    }

    /// Sends an event.
    pub fn send(&self, kind: Kind, mut event: Event) {
        event.set_kind(kind);
        event.elapsed = prost_types::Duration::try_from(self.begun.elapsed()).ok();
        self.progress.send_modify(|progress| progress.events.push(event));
    }

    /// Ends the streams of all callers.
    pub fn end(&self, result: Result<(), OperationError>) {
        self.progress.send_modify(|progress| progress.end = Some(result));
    }

    /// Waits until the operation holds the lock. None after the timeout.
    pub async fn start(&self, timeout: Duration) -> Option<Start> {
        let mut reader = self.progress.subscribe();
        let decided =
            reader.wait_for(|progress| !progress.events.is_empty() || progress.end.is_some());
        let progress = tokio::time::timeout(timeout, decided).await.ok()?.ok()?;
        Some(match (&progress.events[..], &progress.end) {
            ([], Some(Err(error @ OperationError::Busy { .. }))) => Start::GaveUp(error.clone()),
            _ => Start::Started,
        })
    }

    /// All events from the first, and the end.
    pub fn stream(self: &Arc<Self>) -> impl Stream<Item = Result<Event, OperationError>> + use<> {
        let reader = self.progress.subscribe();
        stream::unfold(Some((reader, 0)), |state| async {
            let (mut reader, next) = state?;
            let has_more =
                |progress: &Progress| progress.events.len() > next || progress.end.is_some();
            let (event, end) = match reader.wait_for(has_more).await {
                Ok(progress) => (progress.events.get(next).cloned(), progress.end.clone()),
                // The operation is gone without an end: it panicked, and the log says how.
                Err(_) => return Some((Err(OperationError::Panicked), None)),
            };
            match (event, end) {
                (Some(event), _) => Some((Ok(event), Some((reader, next + 1)))),
                (None, Some(Err(error))) => Some((Err(error), None)),
                (None, _) => None,
            }
        })
    }
}

/// A number of steps, as events have it.
pub(super) fn count(steps: usize) -> u32 {
    u32::try_from(steps).unwrap_or(u32::MAX)
}
