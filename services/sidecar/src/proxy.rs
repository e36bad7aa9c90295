//! `gate proxy`: a reverse proxy that passes requests while the gate is open.

mod body;
mod forwarding;
mod headers;
mod upgrade;
mod upstream;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use gate::Gate;
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use transport::{ListenerTls, serve_http};

use self::{forwarding::Forwarding, upstream::UpstreamClient};
use crate::{config::GateConfig, serve::routes};

pub use upstream::{Upstream, UpstreamProtocol};

/// How long upgraded connections may go on in the drain: a little longer than the gate lets them.
const UPGRADED_DRAIN_TIMEOUT: Duration = Duration::from_secs(9);

/// The settings of the proxy beside those of its gate.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// The service that requests are passed to.
    pub upstream: Upstream,
    /// The version of HTTP that it speaks.
    pub protocol: UpstreamProtocol,
    /// How many requests may be in progress, upgraded connections included.
    pub max_requests: NonZeroU32,
}

/// Passes requests from `listener` to the upstream until `stopping`, drains, and deregisters. What
/// `gate serve` answers is answered on `admin`.
///
/// # Errors
/// The schema service's URL cannot be used.
pub async fn proxy(
    gate_config: GateConfig,
    config: ProxyConfig,
    listener: TcpListener,
    admin: Option<TcpListener>,
    tls: Option<ListenerTls>,
    stopping: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let gate = gate_config.build().await?;
    let drained = CancellationToken::new();
    let evaluating = tokio::spawn(gate.clone().run(drained.clone()));
    let administering =
        admin.map(|admin| tokio::spawn(administer(admin, tls.clone(), gate.clone())));
    let limit = config.max_requests.get();
    let free_slots = Arc::new(Semaphore::new(limit as usize));
    let forwarding = Forwarding {
        gate: gate.clone(),
        upstream: UpstreamClient::new(config.upstream, config.protocol),
        free_slots: Arc::clone(&free_slots),
        limit,
        last_warning: Mutex::default(),
    };
    let shutdown = async {
        stopping.cancelled().await;
        gate.shutdown(gate_config.notice).await;
    };
    serve_http(listener, tls, forwarding.into_service(), shutdown).await;
    // Upgraded connections are not the server's any more.
    let _ = tokio::time::timeout(UPGRADED_DRAIN_TIMEOUT, free_slots.acquire_many(limit)).await;
    drained.cancel();
    // It ends when it is cancelled, and never fails.
    let _ = evaluating.await;
    if let Some(administering) = administering {
        administering.abort();
    }
    Ok(())
}

/// Answers for as long as the proxy drains, so that the drain can be observed.
async fn administer(listener: TcpListener, tls: Option<ListenerTls>, gate: Gate) {
    serve_http(listener, tls, routes(&gate), std::future::pending()).await;
}
