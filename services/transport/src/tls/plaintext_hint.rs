//! The answer to a client that speaks plaintext to a TLS listener, in the client's own protocol.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const HINT: &str = "this port speaks TLS: call it with https://";

/// How long to wait for the client's first call: one that has not made it would only report that
/// the connection is lost.
const FIRST_CALL_TIMEOUT: Duration = Duration::from_millis(100);

pub(super) async fn answer(mut stream: TcpStream) {
    let mut first = [0; 3];
    let is_http2 = stream.peek(&mut first).await.is_ok() && &first == b"PRI";
    let _ = timeout(FIRST_CALL_TIMEOUT, read_to_end(&mut stream)).await;
    let answer = if is_http2 {
        go_away(HINT)
    } else {
        format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n{HINT}\n").into_bytes()
    };
    if stream.write_all(&answer).await.is_ok() {
        close_gracefully(stream).await;
    }
}

/// HTTP/2's SETTINGS and GOAWAY frames with INADEQUATE_SECURITY and a reason:
/// <https://www.rfc-editor.org/rfc/rfc9113#section-6.8>
fn go_away(reason: &str) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const INADEQUATE_SECURITY: [u8; 4] = [0, 0, 0, 0xc];
    const LAST_STREAM: [u8; 4] = [0; 4];
    let length = u8::try_from(8 + reason.len()).unwrap_or(u8::MAX);
    let mut frames = SETTINGS.to_vec();
    frames.extend([0, 0, length, 7, 0, 0, 0, 0, 0]);
    frames.extend(LAST_STREAM);
    frames.extend(INADEQUATE_SECURITY);
    frames.extend(reason.bytes());
    frames
}

/// Shuts the connection down and reads until the peer closes it. Closing a socket with unread bytes
/// resets the connection, and the peer might lose what was just written.
pub(super) async fn close_gracefully(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        read_to_end(&mut stream).await;
    }
}

async fn read_to_end(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}
