//! The life of a server: it serves until its shutdown is requested, then drains.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    time::Duration,
};

use access::{Access, AdmissionLayer, PeerLookup};
use futures_util::future::Either;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};

use crate::{
    Listeners,
    budget_layer::ResponseBudgetLayer,
    connections,
    decode_errors::DecodeErrorLayer,
    metrics::{self, Exporter, RpcMetrics, RpcMetricsLayer},
    tls::{self, ClientCertificateLayer, ListenerTls, Purpose},
};

/// How long calls in progress may go on once shutdown is requested.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The keep-alive's ping interval, and the time to answer one: a peer that vanished is noticed after
/// their sum.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

const KIB: u32 = 1024;
/// Calls at once on a connection. A client waits with further ones; tonic has no limit of its own.
pub(crate) const MAX_STREAMS: u32 = 4_096;
/// Calls that were reset before they were accepted (rapid reset, CVE-2023-44487), and errors in the
/// protocol; beyond them the connection is closed with ENHANCE_YOUR_CALM.
pub(crate) const MAX_PENDING_RESETS: usize = 20;
pub(crate) const MAX_PROTOCOL_ERRORS: usize = 1_024;
/// A token, a deadline and a trace take some hundred bytes.
pub(crate) const MAX_HEADER_BYTES: u32 = 16 * KIB;
pub(crate) const MAX_FRAME_BYTES: u32 = 16 * KIB;
/// Bytes of requests that are received and not yet read: of a call, and of a connection.
pub(crate) const MAX_UNREAD_REQUEST_BYTES: u32 = KIB * KIB;

const PEER: PeerLookup =
    PeerLookup { address: connections::peer_address, certificate_name: tls::peer_name };

/// Serves until `shutdown`, then lets calls in progress finish for up to ten seconds. Where metrics
/// are scraped, the durations of rpcs are among them.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listeners: impl Into<Listeners>,
    routes: Routes,
    exporter: impl Into<Exporter>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let Listeners { rpc, metrics, tls, access } = listeners.into();
    let mut exporter = exporter.into();
    let rpc_metrics = metrics.is_some().then(RpcMetrics::new);
    if let Some(rpc_metrics) = &rpc_metrics {
        rpc_metrics.register(&mut exporter.registry);
    }
    tokio::select! {
        ended = serve_rpcs(rpc, tls.clone(), access.clone(), routes, rpc_metrics, shutdown) => ended,
        never = serve_metrics(metrics, tls.clone(), exporter) => match never {},
        never = run_if_any(tls.as_ref().map(ListenerTls::reload)) => match never {},
        never = run_if_any(access.as_ref().map(Access::reload)) => match never {},
    }
}

/// Sets every limit of a connection: the defaults of hyper, h2 and tonic differ between versions.
fn limited_server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(MAX_PROTOCOL_ERRORS))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .initial_stream_window_size(MAX_UNREAD_REQUEST_BYTES)
        .initial_connection_window_size(MAX_UNREAD_REQUEST_BYTES)
}

async fn serve_rpcs(
    listener: TcpListener,
    tls: Option<ListenerTls>,
    access: Option<Access>,
    routes: Routes,
    rpc_metrics: Option<RpcMetrics>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let draining = CancellationToken::new();
    let is_required = tls.as_ref().is_some_and(ListenerTls::requires_client_certificate);
    let server = limited_server()
        .layer(RpcMetricsLayer::new(rpc_metrics))
        .layer(ResponseBudgetLayer)
        .layer(ClientCertificateLayer { is_required })
        .layer(AdmissionLayer::new(access, PEER))
        .layer(DecodeErrorLayer)
        .add_routes(routes);
    let drained = draining.clone().cancelled_owned();
    let server = match tls {
        Some(tls) => {
            let incoming = tls::incoming(listener, tls, Purpose::Rpc);
            let incoming = connections::limited(incoming, connections::HTTP2_PREFACE);
            Either::Left(server.serve_with_incoming_shutdown(incoming, drained))
        }
        None => {
            let incoming = connections::plaintext(listener);
            let incoming = connections::limited(incoming, connections::HTTP2_PREFACE);
            Either::Right(server.serve_with_incoming_shutdown(incoming, drained))
        }
    };
    let mut server = pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = shutdown => draining.cancel(),
    }
    tokio::time::timeout(DRAIN_TIMEOUT, server).await.unwrap_or_else(|_| {
        tracing::warn!(timeout = ?DRAIN_TIMEOUT, "drain timed out; cancelling calls in progress");
        Ok(())
    })
}

/// Serves scrapes for as long as rpcs are served, so that the drain can be observed. A failure of
/// this listener refuses no rpc.
async fn serve_metrics(
    listener: Option<TcpListener>,
    tls: Option<ListenerTls>,
    exporter: Exporter,
) -> Infallible {
    if let Some(listener) = listener
        && let Err(error) = metrics::serve(listener, tls, exporter, pending()).await
    {
        tracing::error!(%error, "the metrics listener failed");
    }
    pending().await
}

async fn run_if_any(task: Option<impl Future<Output = Infallible>>) -> Infallible {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}
