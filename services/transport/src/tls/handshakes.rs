//! Connections out of handshakes. A handshake that is slow, or fails, holds up no other: each is a
//! task, there is a limit on their time and on their number, and the oldest makes room.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::ListenerTls;
use crate::connections::accept;

/// How long a handshake may take, and how many there may be at once.
const PATIENCE: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 512;

/// How long a call in plaintext may take to come, once its connection is there.
const CALL: Duration = Duration::from_millis(100);

/// How a TLS connection begins: a record of a handshake.
const HANDSHAKE: u8 = 22;

/// What a listener is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Calls.
    Rpc,
    /// Scrapes.
    Metrics,
}

/// The connections of a listener, once their handshakes are done, for ever.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: ListenerTls,
    purpose: Purpose,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send {
    let handshakes =
        Handshakes { listener, tls, purpose, running: JoinSet::new(), oldest: VecDeque::new() };
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
    /// In the order that they began; some have ended.
    oldest: VecDeque<AbortHandle>,
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
                stream = accept(&self.listener) => self.begin(stream),
            }
        }
    }

    fn begin(&mut self, stream: TcpStream) {
        self.oldest.retain(|handshake| !handshake.is_finished());
        if self.oldest.len() >= AT_ONCE
            && let Some(handshake) = self.oldest.pop_front()
        {
            handshake.abort();
        }
        let newest = self.tls.newest();
        let config = match self.purpose {
            Purpose::Rpc if is_of_this_machine(&stream) => &newest.local,
            Purpose::Rpc => &newest.rpc,
            Purpose::Metrics => &newest.metrics,
        };
        let handshake = handshake(stream, Arc::clone(config));
        let bounded = async { timeout(PATIENCE, handshake).await.unwrap_or_default() };
        self.oldest.push_back(self.running.spawn(bounded));
    }
}

/// Whether somebody calls from the address that is called, or from the loopback's.
fn is_of_this_machine(stream: &TcpStream) -> bool {
    let (Ok(peer), Ok(here)) = (stream.peer_addr(), stream.local_addr()) else { return false };
    peer.ip().to_canonical().is_loopback() || peer.ip() == here.ip()
}

async fn handshake(stream: TcpStream, config: Arc<ServerConfig>) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first != [HANDSHAKE] {
        tracing::debug!("somebody speaks plaintext where TLS is spoken");
        say_so(stream).await;
        return None;
    }
    match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(connection) => Some(connection),
        Err((error, stream)) => {
            tracing::debug!("a TLS handshake failed: {error}");
            linger(stream).await;
            None
        }
    }
}

/// Tells those who speak plaintext, in their own protocol, what they should speak.
async fn say_so(mut stream: TcpStream) {
    const WORDS: &str = "this port speaks TLS: call it with https://";
    let mut first = [0; 3];
    let spoken = stream.peek(&mut first).await;
    // A client that has not made its call yet would only tell that the connection is gone.
    let _ = timeout(CALL, read_on(&mut stream)).await;
    let answer = if spoken.is_ok() && &first == b"PRI" {
        go_away(WORDS)
    } else {
        format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n{WORDS}\n").into_bytes()
    };
    if stream.write_all(&answer).await.is_ok() {
        linger(stream).await;
    }
}

/// HTTP/2's frames for "the transport is not safe enough, for this reason":
/// <https://www.rfc-editor.org/rfc/rfc9113#section-6.8>
fn go_away(words: &str) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const INADEQUATE_SECURITY: [u8; 4] = [0, 0, 0, 0xc];
    let length = u8::try_from(8 + words.len()).unwrap_or(u8::MAX);
    let mut frames = SETTINGS.to_vec();
    frames.extend([0, 0, length, 7, 0, 0, 0, 0, 0]);
    // No stream was looked at.
    frames.extend([0; 4]);
    frames.extend(INADEQUATE_SECURITY);
    frames.extend(words.bytes());
    frames
}

/// Reads on until the other side hangs up: were the connection closed on bytes that nobody read,
/// it might be reset before the last words are read there.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        read_on(&mut stream).await;
    }
}

async fn read_on(stream: &mut TcpStream) {
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {}
}
