//! TLS handshakes of a listener. Each is a task of its own, so that a slow one delays no other; their
//! time and number are limited, and above the limit the oldest is cancelled.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{ListenerTls, plaintext_hint};
use crate::connections::accept;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_HANDSHAKES: usize = 512;

/// The first byte of a TLS connection: a record of type handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// What a listener is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    Rpc,
    /// Any request of HTTP/1.1 or HTTP/2.
    Http,
}

/// The connections of a listener after their handshakes, without end.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: ListenerTls,
    purpose: Purpose,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send {
    let handshakes =
        Handshakes { listener, tls, purpose, running: JoinSet::new(), by_age: VecDeque::new() };
    stream::unfold(handshakes, async |mut handshakes| {
        let connection = handshakes.next().await;
        Some((Ok(connection), handshakes))
    })
}

struct Handshakes {
    listener: TcpListener,
    tls: ListenerTls,
    purpose: Purpose,
    running: JoinSet<Option<TlsStream<TcpStream>>>,
    /// In the order in which they started; some have ended.
    by_age: VecDeque<AbortHandle>,
}

impl Handshakes {
    async fn next(&mut self) -> TlsStream<TcpStream> {
        loop {
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    if let Ok(Some(connection)) = ended {
                        return connection;
                    }
                }
                stream = accept(&self.listener) => self.start(stream),
            }
        }
    }

    fn start(&mut self, stream: TcpStream) {
        self.by_age.retain(|handshake| !handshake.is_finished());
        if self.by_age.len() >= MAX_HANDSHAKES
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
        }
        let certificates = self.tls.current();
        let config = match self.purpose {
            Purpose::Rpc if is_from_this_machine(&stream) => &certificates.local,
            Purpose::Rpc => &certificates.rpc,
            Purpose::Http => &certificates.http,
        };
        let handshake = handshake(stream, Arc::clone(config));
        let limited = async { timeout(HANDSHAKE_TIMEOUT, handshake).await.unwrap_or_default() };
        self.by_age.push_back(self.running.spawn(limited));
    }
}

/// Whether a connection comes from the loopback, or from the address that it goes to.
fn is_from_this_machine(stream: &TcpStream) -> bool {
    let (Ok(peer), Ok(here)) = (stream.peer_addr(), stream.local_addr()) else { return false };
    peer.ip().to_canonical().is_loopback() || peer.ip() == here.ip()
}

async fn handshake(stream: TcpStream, config: Arc<ServerConfig>) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first != [HANDSHAKE_RECORD] {
        tracing::debug!("rejecting a plaintext connection to a TLS listener");
        plaintext_hint::answer(stream).await;
        return None;
    }
    match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(connection) => Some(connection),
        Err((error, stream)) => {
            tracing::debug!(%error, "TLS handshake failed");
            plaintext_hint::close_gracefully(stream).await;
            None
        }
    }
}
