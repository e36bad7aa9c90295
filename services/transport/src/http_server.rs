//! A server of plain HTTP: HTTP/1.1 with upgrades, and HTTP/2, on one listener, within the limits of
//! the gRPC server.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use futures_util::{Stream, StreamExt as _};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::server::TlsStream;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use crate::{
    connections::{self, HTTP1_PREFACE},
    server::{
        DRAIN_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MAX_FRAME_BYTES, MAX_HEADER_BYTES,
        MAX_PENDING_RESETS, MAX_PROTOCOL_ERRORS, MAX_STREAMS, MAX_UNREAD_REQUEST_BYTES,
    },
    tls::{self, ListenerTls, Purpose},
};

/// How long a connection of HTTP/1 may be idle or take to send the head of a request: longer than
/// the idle timeout of common load balancers, which would otherwise send a request on a connection
/// that is being closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// Bytes of a connection of HTTP/1, and of a response of HTTP/2, that wait to be read or written. A
/// larger head of a request is refused.
const MAX_BUFFERED_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// The other end of a request's connection, in its extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the connection is over TLS.
    pub is_tls: bool,
}

/// Serves HTTP/1.1 and HTTP/2 until `shutdown`, then lets requests in progress finish for up to ten
/// seconds. Each request has its [`Peer`] among its extensions.
pub async fn serve_http<S>(
    listener: TcpListener,
    tls: Option<ListenerTls>,
    service: S,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    match tls {
        Some(tls) => {
            let incoming = tls::incoming(listener, tls.clone(), Purpose::Http);
            tokio::select! {
                () = serve_connections(incoming, tls_peer, service, shutdown) => {}
                never = tls.reload() => match never {},
            }
        }
        None => {
            let incoming = connections::plaintext(listener);
            serve_connections(incoming, plaintext_peer, service, shutdown).await;
        }
    }
}

fn plaintext_peer(io: &TcpStream) -> io::Result<Peer> {
    Ok(Peer { address: io.peer_addr()?, is_tls: false })
}

fn tls_peer(io: &TlsStream<TcpStream>) -> io::Result<Peer> {
    Ok(Peer { address: io.get_ref().0.peer_addr()?, is_tls: true })
}

async fn serve_connections<IO, S>(
    incoming: impl Stream<Item = io::Result<IO>> + Send,
    peer: fn(&IO) -> io::Result<Peer>,
    service: S,
    shutdown: impl Future<Output = ()>,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let builder = limited_builder();
    let graceful = GracefulShutdown::new();
    // Dropped, and with it every connection, when the drain has timed out.
    let mut running = JoinSet::new();
    let mut incoming = pin!(connections::limited(incoming, HTTP1_PREFACE));
    let mut shutdown = pin!(shutdown);
    loop {
        let connection = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = running.join_next() => continue,
            connection = incoming.next() => connection,
        };
        // A connection that is gone already has no peer.
        let Some(Ok(connection)) = connection else { continue };
        let Ok(peer) = peer(connection.io()) else { continue };
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            service.clone().oneshot(request)
        });
        let connection =
            builder.serve_connection_with_upgrades(TokioIo::new(connection), service).into_owned();
        let connection = graceful.watch(connection);
        running.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, peer = %peer.address, "connection ended");
            }
        });
    }
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!(timeout = ?DRAIN_TIMEOUT, "drain timed out; cancelling requests in progress");
    }
}

/// Sets every limit of a connection: the defaults of hyper and h2 differ between versions.
fn limited_builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_BUFFERED_BYTES)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_PROTOCOL_ERRORS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_send_buf_size(MAX_BUFFERED_BYTES)
        .initial_stream_window_size(MAX_UNREAD_REQUEST_BYTES)
        .initial_connection_window_size(MAX_UNREAD_REQUEST_BYTES);
    builder
}
