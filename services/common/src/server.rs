//! The life of a server: a socket that the caller owns, reflection, and an end in good order.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    io::Write as _,
    net::SocketAddr,
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use futures_util::future::Either;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::{Routes, RoutesBuilder},
    transport::Server,
};

use crate::{
    access::{Access, Admission, Guard, Reflection, exposure},
    connections,
    metrics::{self, Exporter, Rpcs, Timed},
    outbox::Outboxes,
    tls::{self, Callers, ListenerFiles, ListenerTls, Purpose},
    unread::Unread,
};

/// How long calls in hand may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// The sockets of a service.
#[derive(Debug)]
pub struct Listeners {
    /// Where it is called.
    pub rpc: TcpListener,
    /// Where it is scraped, if it is.
    pub metrics: Option<TcpListener>,
    /// What both show to those who connect; plaintext, if nothing.
    pub tls: Option<ListenerTls>,
    /// Who may call, and what; anyone everything, if nothing.
    pub access: Option<Access>,
}

impl Listeners {
    /// Reads the certificates and binds them all, or says which file is of no use and which
    /// address could not be bound; then tells where they are.
    ///
    /// # Errors
    /// A file is of no use; an address is in use, or is none of this machine's; or standard output
    /// is closed; or others than this machine could call, and nothing says who may.
    pub async fn bind(
        service: &str,
        rpc: SocketAddr,
        metrics: Option<SocketAddr>,
        tls: Option<ListenerFiles>,
        admission: Admission,
    ) -> io::Result<Self> {
        let tls = tls.map(ListenerTls::load).transpose().map_err(io::Error::other)?;
        let beyond = !rpc.ip().is_loopback() || metrics.is_some_and(|at| !at.ip().is_loopback());
        if beyond && tls.as_ref().is_some_and(ListenerTls::is_for_development) {
            tracing::warn!(
                "the certificate is one of `schema certs`, for development only, and others than \
                 this machine can connect"
            );
        }
        exposure(service, rpc, tls.as_ref(), &admission).map_err(io::Error::other)?;
        let rpc = bind(rpc).await?;
        let metrics = match metrics {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        announce(service, &rpc)?;
        if let Some(metrics) = &metrics {
            announce(&format!("{service}-metrics"), metrics)?;
        }
        Ok(Self { rpc, metrics, tls, access: admission.access })
    }
}

impl From<TcpListener> for Listeners {
    fn from(rpc: TcpListener) -> Self {
        Self { rpc, metrics: None, tls: None, access: None }
    }
}

/// Binds an address, or says which one could not be.
///
/// # Errors
/// The address is in use, or is none of this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Runs a program to its end, and no longer: a thread that is still busy ends with the process, and
/// a transaction that it holds open is rolled back by that.
pub fn run(program: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(program);
    runtime.shutdown_background();
    status
}

/// Tells whoever started the process where a service can be called: one line on standard output,
/// for scripts and tests that asked for port 0.
///
/// # Errors
/// Standard output is closed.
pub fn announce(service: &str, listener: &TcpListener) -> io::Result<()> {
    writeln!(io::stdout(), "{service} listens on {}", listener.local_addr()?)
}

/// Ends when the process is asked to end: SIGTERM, or ctrl-c.
///
/// # Errors
/// The signals cannot be listened for.
pub fn asked_to_end() -> io::Result<CancellationToken> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let asked = CancellationToken::new();
    let token = asked.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: ending in good order"),
            _ = tokio::signal::ctrl_c() => tracing::info!("ctrl-c: ending in good order"),
        }
        token.cancel();
    });
    Ok(asked)
}

/// Adds reflection, where it is on: as v1, and as the v1alpha that older clients ask for.
///
/// # Errors
/// The descriptors cannot be read.
pub fn add_reflection(
    routes: &mut RoutesBuilder,
    reflection: Reflection,
) -> Result<(), tonic_reflection::server::Error> {
    if reflection == Reflection::Off {
        return Ok(());
    }
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that clients can read the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    routes.add_service(builder().build_v1()?);
    routes.add_service(builder().build_v1alpha()?);
    Ok(())
}

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
    let callers_known = tls.as_ref().is_some_and(ListenerTls::wants_callers_known);
    let server = bounded_server()
        .layer(Timed::by(rpcs))
        .layer(Outboxes::LAYER)
        .layer(Callers::known(callers_known))
        .layer(Guard::by(access))
        .layer(Unread::LAYER)
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
