//! A connection that was upgraded, to a WebSocket as a rule: bytes in both directions.

use gate::Gate;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{io::copy_bidirectional, sync::OwnedSemaphorePermit};

use super::body::long_closed;

/// Carries bytes until one side ends, or the gate has been closed for a while.
pub(super) async fn carry(
    from_caller: OnUpgrade,
    to_upstream: OnUpgrade,
    gate: Gate,
    _slot: OwnedSemaphorePermit,
) {
    let (caller, upstream) = match tokio::try_join!(from_caller, to_upstream) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "connection was not upgraded");
            return;
        }
    };
    let (mut caller, mut upstream) = (TokioIo::new(caller), TokioIo::new(upstream));
    tokio::select! {
        ended = copy_bidirectional(&mut caller, &mut upstream) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "upgraded connection ended");
            }
        }
        () = long_closed(gate) => tracing::debug!("gate closed; ending an upgraded connection"),
    }
}
