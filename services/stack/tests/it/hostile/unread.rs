//! Clients that do not read: they send calls with an HTTP/2 window of zero or one byte.

use std::{net::SocketAddr, time::Duration};

use api::chat::v1::{
    Chat, CreateChatRequest, ListMessagesRequest, SendMessageRequest,
    chat_service_client::ChatServiceClient,
};
use futures_util::future::select_all;
use prost::Message as _;
use testing::{Backend, DEADLINE, channel};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    frames::{DATA, END_HEADERS, END_STREAM, Frame, HEADERS, SETTINGS, frame, frames_of, head},
    target::{Target, framed},
};

const PING: u8 = 6;
const ACK: u8 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Messages of maximum size: a page of them is 2.5 MiB.
const MESSAGES: usize = 40;
const BODY: usize = 64 * 1024;
/// Pages that are requested on a connection: 500 MiB.
const CALLS: u32 = 200;
/// What `outbox` holds of them for one connection.
const HELD: usize = 6;

/// A client that answers pings but reads no response.
struct StuckClient {
    stream: TcpStream,
    bytes: Vec<u8>,
    answered: usize,
}

impl StuckClient {
    /// Requests the pages with this window.
    async fn connect(address: SocketAddr, window: u32, request: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let window = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &window)];
        let calls = (0..CALLS).flat_map(|n| {
            let id = 2 * n + 1;
            let opened =
                frame(HEADERS, END_HEADERS, id, &head("/chat.v1.ChatService/ListMessages"));
            [opened, frame(DATA, END_STREAM, id, &framed(request))].concat()
        });
        let bytes = [hello.concat(), calls.collect()].concat();
        stream.write_all(&bytes).await.expect("it takes the calls");
        Self { stream, bytes: Vec::new(), answered: 0 }
    }

    /// Reads frames; false if the connection is closed.
    async fn read(&mut self) -> bool {
        if self.stream.read_buf(&mut self.bytes).await.unwrap_or(0) == 0 {
            return false;
        }
        let pings: Vec<_> = frames_of(&self.bytes)
            .into_iter()
            .filter(|frame| frame.kind == PING && frame.flags & ACK == 0)
            .map(|ping| frame(PING, ACK, 0, &ping.payload))
            .collect();
        for pong in &pings[self.answered..] {
            if self.stream.write_all(pong).await.is_err() {
                return false;
            }
        }
        self.answered = pings.len();
        true
    }

    /// How many calls were refused, and how many have a response.
    fn counts(&self) -> (usize, usize) {
        let frames = frames_of(&self.bytes);
        let heads: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == HEADERS).collect();
        let refused = heads.iter().filter(|head| head.flags & END_STREAM != 0).count();
        (refused, heads.len() - refused)
    }

    /// Reads until each call is refused or has a response.
    async fn read_headers(&mut self) {
        let all = async {
            while self.counts().0 + self.counts().1 < CALLS as usize {
                assert!(self.read().await, "the connection was closed");
            }
        };
        timeout(DEADLINE, all).await.expect("each call is refused or held");
    }
}

/// Stores the messages; returns a request for a page of them.
async fn fill(address: SocketAddr) -> Vec<u8> {
    let mut client = ChatServiceClient::new(channel(address));
    let chat = Chat { jid: "large@g.us".into(), ..Default::default() };
    let chat = CreateChatRequest { chat: Some(chat) };
    let chat = client.create_chat(chat).await.unwrap().into_inner().chat.unwrap();
    for _ in 0..MESSAGES {
        let message = SendMessageRequest {
            chat_id: chat.id.clone(),
            sender: "a".into(),
            body: "x".repeat(BODY),
            ..Default::default()
        };
        client.send_message(message).await.unwrap();
    }
    ListMessagesRequest { chat_id: chat.id, page_size: 50, ..Default::default() }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_responses_are_bounded() {
    let database = Backend::Sqlite.at_head().await;
    let target = Target::on(&database).await;
    let address = target.chat_address;
    let request = fill(address).await;
    let before = target.resident();
    // Other clients are served meanwhile.
    let mut stuck = Vec::new();
    for window in [0, 1] {
        let mut client = StuckClient::connect(address, window, &request).await;
        client.read_headers().await;
        let (refused, held) = client.counts();
        assert!((1..=HELD).contains(&held), "{window}: {held} held, {refused} refused");
        stuck.push(client);
        page(address, &request).await;
    }
    let after = target.resident();
    println!("{before} MiB, then {after}");
    // Beside the held responses there are the pages in progress.
    assert!(after < before + 256, "it grew from {before} to {after} MiB");
    // Below half of the listener's budget they stay connected.
    assert!(
        timeout(Duration::from_secs(7), closed(&mut stuck)).await.is_err(),
        "the connection was closed"
    );

    // Beyond half of the budget a client that does not read is disconnected.
    for _ in stuck.len()..5 {
        let mut client = StuckClient::connect(address, 0, &request).await;
        client.read_headers().await;
        stuck.push(client);
    }
    timeout(DEADLINE, closed(&mut stuck)).await.expect("one is disconnected");
    let expected = "does not read";
    testing::eventually("the log has it", async || {
        target.chat.output().iter().any(|line| line.contains(expected)).then_some(())
    })
    .await;
    page(address, &request).await;
    target.serves().await;
    target.has_not_panicked();
}

/// Returns when one of them was disconnected.
async fn closed(clients: &mut [StuckClient]) {
    let each = clients.iter_mut().map(|client| Box::pin(async { while client.read().await {} }));
    select_all(each).await;
}

/// Requests and reads a page.
async fn page(address: SocketAddr, request: &[u8]) {
    let request = ListMessagesRequest::decode(request).expect("it was encoded here");
    let page = ChatServiceClient::new(channel(address)).list_messages(request).await;
    assert_eq!(page.expect("it is served").into_inner().messages.len(), MESSAGES);
}
