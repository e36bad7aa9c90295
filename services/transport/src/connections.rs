//! Connections before anything is called on them: how many there may be, and how soon they speak.

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
    time::{Instant, Sleep, sleep},
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::budget::{Outbox, Shared};

/// Connections to one listener, at most. Each costs a file and some KiB; what is over is hung up.
const MOST: usize = 10_000;

/// How long a connection may take for its first bytes: keep-alive asks only those who spoke.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long nobody is accepted after accepting failed, as it does where files run out.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is told that there are too many.
const TOLD: Duration = Duration::from_secs(1);

/// The bytes with which a client begins to speak HTTP/2: the whole of its preface.
pub(crate) const HTTP2: usize = 24;
/// The same of HTTP/1, which may be scraped by: the least of all requests' lines.
pub(crate) const HTTP1: usize = "GET / HTTP/1.0".len();

/// The connections of a listener, for ever.
pub(crate) fn plain(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> + Send {
    stream::unfold(listener, async |listener| {
        let connection = accept(&listener).await;
        Some((Ok(connection), listener))
    })
}

/// The next connection, however often accepting fails.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                // Only to answer sooner.
                let _ = connection.set_nodelay(true);
                return connection;
            }
            Err(error) => {
                tracing::warn!("a connection cannot be accepted: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Those for whom there is room, which must begin with so many bytes in time.
pub(crate) fn bounded<IO: Send>(
    incoming: impl Stream<Item = io::Result<IO>> + Send,
    begin: usize,
) -> impl Stream<Item = io::Result<Connection<IO>>> + Send {
    let room = Arc::new(Semaphore::new(MOST));
    let outboxes = Shared::new();
    let mut told: Option<Instant> = None;
    incoming.filter_map(move |connection| {
        ready(match (connection, Arc::clone(&room).try_acquire_owned()) {
            (Err(error), _) => Some(Err(error)),
            (Ok(io), Ok(place)) => Some(Ok(Connection {
                io,
                left: begin,
                patience: Some(Box::pin(sleep(PATIENCE))),
                outbox: Outbox::of(&outboxes),
                _place: place,
            })),
            (Ok(_), Err(_)) => {
                if told.is_none_or(|told| told.elapsed() >= TOLD) {
                    tracing::warn!("there are {MOST} connections; further ones are hung up");
                    told = Some(Instant::now());
                }
                None
            }
        })
    })
}

/// A connection that has a place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection<IO> {
    io: IO,
    /// Bytes that are still to come before it has begun to speak, and how long they may take.
    left: usize,
    patience: Option<Pin<Box<Sleep>>>,
    outbox: Arc<Outbox>,
    _place: OwnedSemaphorePermit,
}

impl<IO: Connected> Connected for Connection<IO> {
    type ConnectInfo = Known<IO::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Known { io: self.io.connect_info(), outbox: Arc::clone(&self.outbox) }
    }
}

/// What each call knows of its connection.
#[derive(Clone, Debug)]
pub(crate) struct Known<I> {
    io: I,
    outbox: Arc<Outbox>,
}

/// tonic's name of it is behind a feature that brings its own TLS.
type TlsInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;
type Plain = Known<TcpConnectInfo>;
type Secure = Known<TlsInfo>;

/// The connection of a call, if it came over TLS.
pub(crate) fn secure(extensions: &Extensions) -> Option<&TlsInfo> {
    extensions.get::<Secure>().map(|known| &known.io)
}

/// Where a call comes from, over TLS or not.
pub(crate) fn peer_address(extensions: &Extensions) -> Option<SocketAddr> {
    let plain = || extensions.get::<Plain>().map(|known| &known.io);
    secure(extensions).map(|info| info.get_ref()).or_else(plain)?.remote_addr()
}

/// Where the answer to a call waits.
pub(crate) fn outbox(extensions: &Extensions) -> Option<Arc<Outbox>> {
    let plain = || extensions.get::<Plain>().map(|known| &known.outbox);
    extensions.get::<Secure>().map(|known| &known.outbox).or_else(plain).map(Arc::clone)
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // What keep-alive has answered comes by every few seconds.
        if self.outbox.is_stuck() {
            let waiting = self.outbox.waiting();
            tracing::warn!("a connection does not read {waiting} bytes of answers; it is hung up");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let Some(patience) = &mut self.patience else {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        };
        if patience.as_mut().poll(cx).is_ready() {
            tracing::debug!("a connection said nothing within {PATIENCE:?}; it is hung up");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        if self.left == 0 {
            self.patience = None;
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
