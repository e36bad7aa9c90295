//! Abuse of HTTP/2, frame by frame: the connection or its calls are closed, and other clients are
//! served.

use std::net::SocketAddr;

use testing::{Backend, DEADLINE};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::target::{Target, framed};

/// Frame types, flags and error codes: RFC 9113, sections 6 and 7.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The limit of `transport` for one connection.
const MAX_STREAMS: u32 = 4_096;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it fits").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// The headers of a call, in HPACK without tables (RFC 7541, 6.2.2).
pub(super) fn head(path: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("short");
        [&[length], text.as_bytes()].concat()
    };
    let literal = |name: &str, value: &str| [vec![0], text(name), text(value)].concat();
    // POST and http are indexed; path and authority have indexed names.
    [
        vec![0x83, 0x86, 0x04],
        text(path),
        vec![0x01],
        text("localhost"),
        literal("content-type", "application/grpc"),
        literal("te", "trailers"),
    ]
    .concat()
}

/// A connection that sends raw frames.
struct RawConnection(TcpStream);

impl RawConnection {
    async fn to(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])];
        stream.write_all(&hello.concat()).await.expect("it takes a preface");
        Self(stream)
    }

    /// Sends all frames, and reads until `is_done` or the connection is closed; returns what it
    /// read.
    async fn send(self, frames: Vec<u8>, is_done: impl Fn(&[Frame]) -> bool) -> Vec<Frame> {
        let (mut from, mut to) = self.0.into_split();
        // The connection may be closed before everything is sent.
        let sending = tokio::spawn(async move {
            let _ = to.write_all(&frames).await;
            to
        });
        let mut bytes = Vec::new();
        let reading = async {
            loop {
                let all = frames_of(&bytes);
                // An error means that the connection was reset.
                if is_done(&all) || from.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return frames_of(&bytes);
                }
            }
        };
        let all = timeout(DEADLINE, reading).await.expect("it is closed or answered");
        sending.abort();
        all
    }
}

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The error code; in GOAWAY it follows the last stream's id.
    fn code(&self) -> Option<u32> {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let code = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(code.try_into().ok()?))
    }

    fn is(&self, kind: u8, code: u32) -> bool {
        self.kind == kind && self.code() == Some(code)
    }
}

pub(super) fn frames_of(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push(Frame { kind: head[3], flags: head[4], payload: payload.to_vec() });
        bytes = rest;
    }
    frames
}

/// Both services, each with the path of an endless stream.
fn both(target: &Target) -> [(SocketAddr, &'static str); 2] {
    [
        (target.schema_address, "/schema.v1.SchemaService/Watch"),
        (target.chat_address, "/chat.v1.ChatService/Subscribe"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abusive_connection_is_closed_and_others_are_served() {
    let database = Backend::Sqlite.at_head().await;
    let target = Target::on(&database).await;
    let before = target.resident();
    for (address, path) in both(&target) {
        // Rapid reset (CVE-2023-44487).
        let resets = (0..5_000_u32).flat_map(|n| {
            let (id, code) = (2 * n + 1, CANCEL.to_be_bytes());
            let opened = frame(HEADERS, END_HEADERS, id, &head(path));
            [opened, frame(RST_STREAM, 0, id, &code)].concat()
        });
        let received = RawConnection::to(address).await.send(resets.collect(), |_| false).await;
        assert!(
            received.iter().any(|frame| frame.is(GOAWAY, ENHANCE_YOUR_CALM)),
            "{path}: {received:?}"
        );

        // Endless headers (CVE-2024-27316): 64 MiB without END_HEADERS.
        let begin = frame(HEADERS, 0, 1, &head(path));
        let more = frame(CONTINUATION, 0, 1, &[0; 16_384]).repeat(4_096);
        let received =
            RawConnection::to(address).await.send([begin, more].concat(), |_| false).await;
        let calls = received.iter().filter(|frame| frame.kind == HEADERS).count();
        assert_eq!(calls, 0, "{path}: {received:?}");
        target.serves().await;
    }
    let after = target.resident();
    println!("{before} MiB, then {after}");
    assert!(after < before + 64, "it grew from {before} to {after} MiB");
    target.has_not_panicked();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_a_limited_number_of_streams() {
    let database = Backend::Sqlite.at_head().await;
    let target = Target::on(&database).await;
    for (address, path) in both(&target) {
        let calls = (0..MAX_STREAMS + 10).flat_map(|n| {
            let id = 2 * n + 1;
            let opened = frame(HEADERS, END_HEADERS, id, &head(path));
            [opened, frame(DATA, END_STREAM, id, &framed(&[]))].concat()
        });
        let refused =
            |all: &[Frame]| all.iter().filter(|frame| frame.is(RST_STREAM, REFUSED_STREAM)).count();
        let received =
            RawConnection::to(address).await.send(calls.collect(), |all| refused(all) >= 10).await;
        assert_eq!(refused(&received), 10, "{path}");
        target.serves().await;
    }
    target.has_not_panicked();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_closed() {
    let database = Backend::Sqlite.at_head().await;
    let target = Target::on(&database).await;
    for (address, _) in both(&target) {
        for begun in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
            let mut silent = TcpStream::connect(address).await.expect("it listens");
            silent.write_all(begun).await.expect("it takes some");
            let heard = timeout(DEADLINE, silent.read_to_end(&mut Vec::new())).await;
            // With an end, or as a reset.
            assert!(heard.is_ok(), "the connection is still open");
        }
    }
    target.serves().await;
}
