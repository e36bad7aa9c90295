//! Slow readers: who opens the window of HTTP/2 by nothing, or by a byte, and asks on.

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

/// Messages of the largest kind: a page of them is 2.5 MiB.
const MESSAGES: usize = 40;
const BODY: usize = 64 * 1024;
/// Pages that are asked for on a connection: 500 MiB of them.
const CALLS: u32 = 200;
/// What `outbox` holds of them for one connection.
const HELD: usize = 6;

/// A client that reads no answer, though it answers pings, for as long as it is connected.
struct Unread {
    stream: TcpStream,
    bytes: Vec<u8>,
    /// Pings that were answered.
    answered: usize,
}

impl Unread {
    /// Asks for the pages, with windows of so many bytes.
    async fn ask(address: SocketAddr, window: u32, request: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let window = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &window)];
        let calls = (0..CALLS).flat_map(|n| {
            let id = 2 * n + 1;
            let opened =
                frame(HEADERS, END_HEADERS, id, &head("/chat.v1.ChatService/ListMessages"));
            [opened, frame(DATA, END_STREAM, id, &framed(request))].concat()
        });
        let said = [hello.concat(), calls.collect()].concat();
        stream.write_all(&said).await.expect("it takes the calls");
        Self { stream, bytes: Vec::new(), answered: 0 }
    }

    /// Hears more; false once it is hung up.
    async fn hear(&mut self) -> bool {
        if self.stream.read_buf(&mut self.bytes).await.unwrap_or(0) == 0 {
            return false;
        }
        let pings: Vec<_> = frames_of(&self.bytes)
            .into_iter()
            .filter(|heard| heard.kind == PING && heard.flags & ACK == 0)
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

    /// The heads of answers so far: of those that were refused, and of those that are held.
    fn heads(&self) -> (usize, usize) {
        let heard = frames_of(&self.bytes);
        let heads: Vec<&Frame> = heard.iter().filter(|frame| frame.kind == HEADERS).collect();
        let refused = heads.iter().filter(|head| head.flags & END_STREAM != 0).count();
        (refused, heads.len() - refused)
    }

    /// Hears until each call has a head.
    async fn hear_heads(&mut self) {
        let all = async {
            while self.heads().0 + self.heads().1 < CALLS as usize {
                assert!(self.hear().await, "it is hung up");
            }
        };
        timeout(DEADLINE, all).await.expect("each call is refused or held");
    }
}

/// Stores the messages; a request for a page of them.
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
async fn answers_that_nobody_reads_do_not_pile_up() {
    let database = Backend::Sqlite.at_head().await;
    let target = Target::on(&database).await;
    let address = target.chat_address;
    let request = fill(address).await;
    let before = target.resident();
    // The window of a stream is shut, or open by a byte; whoever reads at once is served beside.
    let mut stuck = Vec::new();
    for window in [0, 1] {
        let mut unread = Unread::ask(address, window, &request).await;
        unread.hear_heads().await;
        let (refused, held) = unread.heads();
        assert!((1..=HELD).contains(&held), "{window}: {held} held, {refused} refused");
        stuck.push(unread);
        page(address, &request).await;
    }
    let after = target.resident();
    println!("{before} MiB, then {after}");
    // Besides what is held there are the pages that were being made at once.
    assert!(after < before + 256, "it grew from {before} to {after} MiB");
    // They take nothing from others, and are left alone.
    assert!(timeout(Duration::from_secs(7), hung_up(&mut stuck)).await.is_err(), "it is hung up");

    // So many that others would be refused: those who do not read are hung up.
    for _ in stuck.len()..5 {
        let mut unread = Unread::ask(address, 0, &request).await;
        unread.hear_heads().await;
        stuck.push(unread);
    }
    timeout(DEADLINE, hung_up(&mut stuck)).await.expect("one is hung up");
    let told = "does not read";
    testing::eventually("the log tells it", async || {
        target.chat.output().iter().any(|line| line.contains(told)).then_some(())
    })
    .await;
    page(address, &request).await;
    target.serves().await;
    target.is_calm();
}

/// Ends when one of them was hung up.
async fn hung_up(unread: &mut [Unread]) {
    let each = unread.iter_mut().map(|unread| Box::pin(async { while unread.hear().await {} }));
    select_all(each).await;
}

/// A page, for somebody who reads it.
async fn page(address: SocketAddr, request: &[u8]) {
    let request = ListMessagesRequest::decode(request).expect("it was made here");
    let page = ChatServiceClient::new(channel(address)).list_messages(request).await;
    assert_eq!(page.expect("it is served").into_inner().messages.len(), MESSAGES);
}
