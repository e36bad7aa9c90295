//! Streams that end when the gate closes.

use std::sync::Arc;

use futures_util::{
    Stream, StreamExt as _,
    future::{Either, select},
    stream,
};
use tonic::Status;

use crate::{gate::Gate, state::State};

impl Gate {
    /// The stream for as long as the gate is open, then the refusal that calls get. For responses
    /// that go on for hours: a shutdown closes the gate too, so that they do not delay it.
    pub fn while_open<S, T>(
        &self,
        answers: S,
    ) -> impl Stream<Item = Result<T, Status>> + Send + 'static
    where
        S: Stream<Item = Result<T, Status>> + Send + 'static,
        T: Send + 'static,
    {
        let state = Arc::clone(&self.inner.state);
        let parts = (Box::pin(closed(state)), Box::pin(answers));
        stream::unfold(Some(parts), |parts| async {
            let (closed, mut answers) = parts?;
            match select(closed, answers.next()).await {
                Either::Left((status, _)) => Some((Err(status), None)),
                Either::Right((answer, closed)) => Some((answer?, Some((closed, answers)))),
            }
        })
    }
}

/// Returns the refusal once the gate is closed.
async fn closed(state: Arc<State>) -> Status {
    let mut reports = state.subscribe();
    let report = reports.wait_for(|report| !report.is_open()).await;
    match report.ok().as_ref().and_then(|report| report.refusal()) {
        Some(refusal) => refusal.status.clone(),
        // The sender is in `state`, so that waiting cannot fail.
        None => Status::unavailable("the gate is closed"),
    }
}
