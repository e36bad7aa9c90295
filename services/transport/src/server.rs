//! The life of a server: a socket that the caller owns, reflection, and an end in good order.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    time::Duration,
};

use futures_util::future::Either;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};

use access::{Access, AdmissionLayer, PeerLookup};

use crate::{
    Listeners,
    budget::ResponseBudgetLayer,
    connections,
    decode_errors::DecodeErrorLayer,
    metrics::{self, Exporter, Rpcs, Timed},
    tls::{self, ClientCertificateLayer, ListenerTls, Purpose},
};

const PEER: PeerLookup =
    PeerLookup { address: connections::peer_address, certificate_name: tls::peer_name };

/// How long calls in hand may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until `stopping`, then lets calls in hand finish, for ten seconds at most. Where it is
/// scraped, how long calls take is told beside what the exporter tells.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listeners: impl Into<Listeners>,
    routes: Routes,
    exporter: impl Into<Exporter>,
    stopping: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let Listeners { rpc, metrics, tls, access } = listeners.into();
    let mut exporter = exporter.into();
    let rpcs = metrics.is_some().then(Rpcs::new);
    if let Some(rpcs) = &rpcs {
        rpcs.register(&mut exporter.registry);
    }
    tokio::select! {
        ended = answer(rpc, tls.clone(), access.clone(), routes, rpcs, stopping) => ended,
        never = export(metrics, tls.clone(), exporter) => match never {},
        never = forever(tls.as_ref().map(ListenerTls::follow)) => match never {},
        never = forever(access.as_ref().map(Access::follow)) => match never {},
    }
}

/// A server on which one connection may ask for so much and no more: what hyper, h2 and tonic do
/// unasked differs between their versions.
fn bounded_server() -> Server {
    const KIB: u32 = 1024;
    Server::builder()
        // A peer that vanished without a word is noticed after ten seconds, and what it held here
        // is let go.
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        // Calls on one connection; further ones are refused before anything is done for them, and
        // a client waits with them. tonic's own limit is none.
        .max_concurrent_streams(4_096)
        // Calls that were taken back before anybody looked at them (rapid reset), and errors in
        // the protocol: the connection is cut with ENHANCE_YOUR_CALM.
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(1_024))
        // Headers without end: a token, a deadline and a trace take some hundred bytes.
        .http2_max_header_list_size(16 * KIB)
        .max_frame_size(16 * KIB)
        // What lies here unread, of one call and of all calls on a connection.
        .initial_stream_window_size(KIB * KIB)
        .initial_connection_window_size(KIB * KIB)
}

async fn answer(
    listener: TcpListener,
    tls: Option<ListenerTls>,
    access: Option<Access>,
    routes: Routes,
    rpcs: Option<Rpcs>,
    stopping: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let draining = CancellationToken::new();
    let client_certificate_required =
        tls.as_ref().is_some_and(ListenerTls::requires_client_certificate);
    let server = bounded_server()
        .layer(Timed::by(rpcs))
        .layer(ResponseBudgetLayer)
        .layer(ClientCertificateLayer { is_required: client_certificate_required })
        .layer(AdmissionLayer::new(access, PEER))
        .layer(DecodeErrorLayer)
        .add_routes(routes);
    let drained = draining.clone().cancelled_owned();
    let server = match tls {
        Some(tls) => {
            let incoming = tls::incoming(listener, tls, Purpose::Rpc);
            let incoming = connections::bounded(incoming, connections::HTTP2);
            Either::Left(server.serve_with_incoming_shutdown(incoming, drained))
        }
        None => {
            let incoming = connections::plain(listener);
            let incoming = connections::bounded(incoming, connections::HTTP2);
            Either::Right(server.serve_with_incoming_shutdown(incoming, drained))
        }
    };
    let mut server = pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = stopping => draining.cancel(),
    }
    tokio::time::timeout(GRACE, server).await.unwrap_or_else(|_| {
        tracing::warn!("calls were still open after {GRACE:?}; they are cut");
        Ok(())
    })
}

/// Answers scrapes for as long as the calls are answered: the end in good order can be watched.
async fn export(
    listener: Option<TcpListener>,
    tls: Option<ListenerTls>,
    exporter: Exporter,
) -> Infallible {
    if let Some(listener) = listener
        && let Err(error) = metrics::serve(listener, tls, exporter, pending()).await
    {
        // Nobody is refused a call because nobody counts it.
        tracing::error!("the metrics are served no more: {error}");
    }
    pending().await
}

/// What goes on for as long as there are calls, where there is such a thing.
async fn forever(task: Option<impl Future<Output = Infallible>>) -> Infallible {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}
