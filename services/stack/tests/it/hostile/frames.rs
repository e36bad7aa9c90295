//! Abuse of HTTP/2, frame by frame: a connection that overdoes it is cut, or its calls are, and
//! whoever else calls is served.

use std::net::SocketAddr;

use testing::{Backend, DEADLINE};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::target::{Target, framed};

/// Kinds of frames, their flags, and codes of errors: RFC 9113, 6 and 7.
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

/// What `transport` allows one connection.
const STREAMS: u32 = 4_096;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it fits").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// The head of a call, in HPACK without tables (RFC 7541, 6.2.2).
pub(super) fn head(path: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("short");
        [&[length], text.as_bytes()].concat()
    };
    let literal = |name: &str, value: &str| [vec![0], text(name), text(value)].concat();
    // POST and http by their indices; the path and the authority by those of their names.
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

/// A connection without a client's manners.
struct Raw(TcpStream);

impl Raw {
    async fn to(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])];
        stream.write_all(&hello.concat()).await.expect("it takes a preface");
        Self(stream)
    }

    /// Says it all at once, and hears what comes of it until `heard` is content or the other side
    /// hangs up; whatever came.
    async fn say(self, frames: Vec<u8>, heard: impl Fn(&[Frame]) -> bool) -> Vec<Frame> {
        let (mut from, mut to) = self.0.into_split();
        // It may be cut before it has said everything.
        let saying = tokio::spawn(async move {
            let _ = to.write_all(&frames).await;
            to
        });
        let mut bytes = Vec::new();
        let listening = async {
            loop {
                let all = frames_of(&bytes);
                // An error is a connection that was reset: it is cut as well.
                if heard(&all) || from.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return frames_of(&bytes);
                }
            }
        };
        let all = timeout(DEADLINE, listening).await.expect("it is cut, or answered");
        saying.abort();
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
    /// The code of an error: a connection's comes behind the last stream's id.
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

/// Both services, with the path of a stream of each that has no end.
fn both(target: &Target) -> [(SocketAddr, &'static str); 2] {
    [
        (target.schema_address, "/schema.v1.SchemaService/Watch"),
        (target.chat_address, "/chat.v1.ChatService/Subscribe"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_overdoes_it_is_cut_and_others_are_served() {
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
        let told = Raw::to(address).await.say(resets.collect(), |_| false).await;
        assert!(told.iter().any(|frame| frame.is(GOAWAY, ENHANCE_YOUR_CALM)), "{path}: {told:?}");

        // Headers without end (CVE-2024-27316): 64 MiB of them, and not one is the last.
        let begin = frame(HEADERS, 0, 1, &head(path));
        let more = frame(CONTINUATION, 0, 1, &[0; 16_384]).repeat(4_096);
        let told = Raw::to(address).await.say([begin, more].concat(), |_| false).await;
        let calls = told.iter().filter(|frame| frame.kind == HEADERS).count();
        assert_eq!(calls, 0, "{path}: {told:?}");
        target.serves().await;
    }
    let after = target.resident();
    println!("{before} MiB, then {after}");
    assert!(after < before + 64, "it grew from {before} to {after} MiB");
    target.is_calm();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_so_many_streams_and_no_more() {
    let database = Backend::Sqlite.at_head().await;
    let target = Target::on(&database).await;
    for (address, path) in both(&target) {
        let calls = (0..STREAMS + 10).flat_map(|n| {
            let id = 2 * n + 1;
            let opened = frame(HEADERS, END_HEADERS, id, &head(path));
            [opened, frame(DATA, END_STREAM, id, &framed(&[]))].concat()
        });
        let refused =
            |all: &[Frame]| all.iter().filter(|frame| frame.is(RST_STREAM, REFUSED_STREAM)).count();
        let told = Raw::to(address).await.say(calls.collect(), |all| refused(all) >= 10).await;
        assert_eq!(refused(&told), 10, "{path}");
        target.serves().await;
    }
    target.is_calm();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_is_hung_up() {
    let database = Backend::Sqlite.at_head().await;
    let target = Target::on(&database).await;
    for (address, _) in both(&target) {
        for begun in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
            let mut silent = TcpStream::connect(address).await.expect("it listens");
            silent.write_all(begun).await.expect("it takes some");
            let heard = timeout(DEADLINE, silent.read_to_end(&mut Vec::new())).await;
            // With an end, or as a reset.
            assert!(heard.is_ok(), "it is still there");
        }
    }
    target.serves().await;
}
