//! The responses of a Watch.

use std::{pin::Pin, sync::Arc};

use api::schema::v1::{SchemaState, WatchResponse};
use futures_util::{Stream, StreamExt as _, stream};
use tonic::Status;

use super::lease::Lease;
use crate::observer::{Observer, ReadError};

/// The state now and after every change.
pub(super) async fn responses(
    observer: &Arc<Observer>,
    lease: Option<Lease>,
) -> Result<impl Stream<Item = Result<WatchResponse, Status>> + Send + use<>, ReadError> {
    let watcher = observer.watch();
    // Read after the registration, so it shows what an operation did before that.
    let first = observer.current().await?;
    let states = stream::once(async { first })
        .chain(stream::unfold(watcher, async |mut watcher| Some((watcher.next().await?, watcher))));
    Ok(stream::unfold((Box::pin(states), lease, observer.clone()), next))
}

type Watching<S> = (Pin<Box<S>>, Option<Lease>, Arc<Observer>);

/// The next response. A dependent learns of a schema that was brought to head only after it is
/// registered, and then as it is since; and it sees no other dependents. Where another tool brought
/// the schema to head, dependents cannot register before the first operation, which waits for watchers.
async fn next<S: Stream<Item = SchemaState>>(
    (mut states, mut lease, observer): Watching<S>,
) -> Option<(Result<WatchResponse, Status>, Watching<S>)> {
    let mut state = states.next().await?;
    if let Some(lease) = &mut lease {
        if state.at_head
            && state.epoch > 0
            && lease.registered().await
            && let Ok(since) = observer.current().await
        {
            state = since;
        }
        // All dependents for each would be the square of their number, at every step.
        state.dependents.retain(|dependent| lease.is_of(dependent));
    }
    Some((Ok(WatchResponse { state: Some(state) }), (states, lease, observer)))
}
