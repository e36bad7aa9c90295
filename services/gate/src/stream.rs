//! Streams that outlive the moment of their admission: they end when the gate closes.

use std::sync::Arc;

use futures_util::{
    Stream, StreamExt as _,
    future::{Either, select},
    stream,
};
use tonic::Status;

use crate::{Gate, state::State};

impl Gate {
    /// The stream for as long as the gate is open, then the refusal that calls get: for answers
    /// that go on for hours. A shutdown closes the gate too, so that they hold nothing up.
    pub fn while_open<S, T>(
        &self,
        answers: S,
    ) -> impl Stream<Item = Result<T, Status>> + Send + 'static
    where
        S: Stream<Item = Result<T, Status>> + Send + 'static,
        T: Send + 'static,
    {
        let state = Arc::clone(&self.inner.state);
        let held = (Box::pin(refused(state)), Box::pin(answers));
        stream::unfold(Some(held), |held| async {
            let (refused, mut answers) = held?;
            match select(refused, answers.next()).await {
                Either::Left((status, _)) => Some((Err(status), None)),
                Either::Right((answer, refused)) => Some((answer?, Some((refused, answers)))),
            }
        })
    }
}

/// Ends with the refusal when the gate is closed.
async fn refused(state: Arc<State>) -> Status {
    let mut reports = state.subscribe();
    let closed = reports.wait_for(|report| !report.is_open()).await;
    match closed.ok().as_ref().and_then(|report| report.refusal()) {
        Some(refusal) => refusal.status.clone(),
        // The sender is in `state`: it cannot be gone.
        None => Status::unavailable("the gate is gone"),
    }
}
