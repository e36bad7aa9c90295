//! How many connections a listener holds, how soon they must send their first bytes, and when one
//! whose client does not read is closed.

use std::{
    future::{Future as _, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use http::Extensions;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::{
    budget::{ListenerBudget, ResponseBudget},
    log_throttle::LogThrottle,
};

/// Each connection costs a file descriptor and some KiB.
const MAX_CONNECTIONS: usize = 10_000;
/// How long a connection may take to send its preface: HTTP/2's keep-alive begins after it.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after accepting failed, as it does where file descriptors run out.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The length of the client's preface of HTTP/2.
pub(crate) const HTTP2_PREFACE: usize = 24;
/// The length of the shortest request line of HTTP/1, by which metrics may be scraped.
pub(crate) const HTTP1_PREFACE: usize = "GET / HTTP/1.0".len();

/// The connections of a listener, without end.
pub(crate) fn plaintext(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> + Send {
    stream::unfold(listener, async |listener| {
        let connection = accept(&listener).await;
        Some((Ok(connection), listener))
    })
}

/// Accepts the next connection, however often accepting fails.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                // Without it responses are merely later.
                let _ = connection.set_nodelay(true);
                return connection;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Holds connections to the connection limit, and each to the time within which `preface_bytes`
/// must arrive; gives each its response budget.
pub(crate) fn limited<IO: Send>(
    incoming: impl Stream<Item = io::Result<IO>> + Send,
    preface_bytes: usize,
) -> impl Stream<Item = io::Result<Connection<IO>>> + Send {
    let free_slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let budget = ListenerBudget::new();
    let rejections = LogThrottle::default();
    incoming.filter_map(move |connection| {
        ready(match (connection, Arc::clone(&free_slots).try_acquire_owned()) {
            (Err(error), _) => Some(Err(error)),
            (Ok(io), Ok(slot)) => Some(Ok(Connection {
                io,
                preface_left: preface_bytes,
                preface_timeout: Some(Box::pin(sleep(PREFACE_TIMEOUT))),
                budget: ResponseBudget::new(Arc::clone(&budget)),
                _slot: slot,
            })),
            (Ok(_), Err(_)) => {
                if rejections.admit() {
                    tracing::warn!(
                        limit = MAX_CONNECTIONS,
                        "connection limit reached; rejecting new connections"
                    );
                }
                None
            }
        })
    })
}

/// A connection that counts against the connection limit until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection<IO> {
    io: IO,
    preface_left: usize,
    preface_timeout: Option<Pin<Box<Sleep>>>,
    budget: Arc<ResponseBudget>,
    _slot: OwnedSemaphorePermit,
}

impl<IO> Connection<IO> {
    pub(crate) const fn io(&self) -> &IO {
        &self.io
    }
}

impl<IO: Connected> Connected for Connection<IO> {
    type ConnectInfo = ConnectionInfo<IO::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        ConnectionInfo { io: self.io.connect_info(), budget: Arc::clone(&self.budget) }
    }
}

/// What each call's extensions hold of its connection.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionInfo<I> {
    io: I,
    budget: Arc<ResponseBudget>,
}

/// tonic's alias for it needs a feature that adds tonic's own TLS.
type TlsConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

/// The TLS connection of a call, if it came over TLS.
pub(crate) fn tls_info(extensions: &Extensions) -> Option<&TlsConnectInfo> {
    extensions.get::<ConnectionInfo<TlsConnectInfo>>().map(|info| &info.io)
}

fn plaintext_info(extensions: &Extensions) -> Option<&ConnectionInfo<TcpConnectInfo>> {
    extensions.get()
}

/// The address that a call comes from.
pub(crate) fn peer_address(extensions: &Extensions) -> Option<SocketAddr> {
    match tls_info(extensions) {
        Some(info) => info.get_ref().remote_addr(),
        None => plaintext_info(extensions)?.io.remote_addr(),
    }
}

/// The response budget of a call's connection.
pub(crate) fn response_budget(extensions: &Extensions) -> Option<Arc<ResponseBudget>> {
    let over_tls = extensions.get::<ConnectionInfo<TlsConnectInfo>>().map(|info| &info.budget);
    over_tls.or_else(|| plaintext_info(extensions).map(|info| &info.budget)).map(Arc::clone)
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Answers to keep-alive pings bring every connection here every few seconds.
        if self.budget.is_stalled() {
            let unread_bytes = self.budget.unread_bytes();
            tracing::warn!(unread_bytes, "closing a connection that does not read its responses");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let Some(timeout) = &mut self.preface_timeout else {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        };
        if timeout.as_mut().poll(cx).is_ready() {
            tracing::debug!(timeout = ?PREFACE_TIMEOUT, "closing a connection without a request");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.preface_left = self.preface_left.saturating_sub(buf.filled().len() - before);
        if self.preface_left == 0 {
            self.preface_timeout = None;
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
