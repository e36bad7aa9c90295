//! ListChats: whatever their number, whichever the page.

use std::time::Instant;

use api::chat::v1::ListChatsRequest;
use bytes::Buf as _;
use futures_util::future::join_all;
use testing::{Backend, channel};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::{CHANNELS, Scale, Stack, pgbench};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const PAGE: i32 = 50;
/// Pages that are turned to reach one that is not the first.
const DEEP: usize = 10;
const CALLS: usize = 2_000;

/// The same page as the service's own first query reads it.
const SCRIPT: &str = "\
SELECT id, jid, name, chat_type, metadata, created_at, updated_at, last_message_at FROM chats
WHERE last_message_at IS NOT NULL
ORDER BY last_message_at DESC, created_at DESC, id DESC LIMIT 51;
";

/// The cost of a page as chats come, and its rate beside pgbench's.
pub async fn pages(scale: Scale) {
    let stack = Stack::start(Backend::Postgres).await;
    let calls = (CALLS / scale.rows).max(16);
    let mut filled = 0;
    for size in SIZES {
        let size = (size / scale.rows).max(600);
        if size <= filled {
            continue;
        }
        stack.fill(filled + 1, size).await;
        filled = size;
        let first = cost(&stack, "", calls).await;
        let deep = cost(&stack, &deep(&stack).await, calls).await;
        println!(
            "ListChats ({PAGE}) of {size}: first page {first:.2} ms, page {DEEP} {deep:.2} ms"
        );
    }
    let rate = rate(&stack, calls * 4).await;
    print!("ListChats ({PAGE}), 16 in flight: {rate:.0} a second");
    match pgbench::run(&stack.database, SCRIPT, 16, scale) {
        Some(found) => println!("; pgbench {:.0}, ratio {:.2}", found.rate, rate / found.rate),
        None => println!("; there is no pgbench on the path"),
    }
}

/// A token that leads some pages in.
async fn deep(stack: &Stack) -> String {
    let (mut client, mut page_token) = (stack.client(), String::new());
    for _ in 1..DEEP {
        let request = ListChatsRequest { page_size: PAGE, page_token, r#type: 0 };
        page_token = client.list_chats(request).await.unwrap().into_inner().next_page_token;
    }
    page_token
}

/// Milliseconds for a page, one after the other.
async fn cost(stack: &Stack, page_token: &str, calls: usize) -> f64 {
    let mut client = stack.client();
    let request = ListChatsRequest { page_size: PAGE, page_token: page_token.into(), r#type: 0 };
    for _ in 0..calls / 10 {
        client.list_chats(request.clone()).await.unwrap();
    }
    let started = Instant::now();
    for _ in 0..calls {
        client.list_chats(request.clone()).await.unwrap();
    }
    started.elapsed().as_secs_f64() * 1e3 / calls as f64
}

/// Pages a second, sixteen at a time. They are encoded, sent and read; like pgbench's, this client
/// makes nothing of what it read, so that what is measured is the service.
async fn rate(stack: &Stack, calls: usize) -> f64 {
    let clients: Vec<_> = (0..CHANNELS).map(|_| Grpc::new(channel(stack.address))).collect();
    let started = Instant::now();
    join_all((0..16).map(|number| {
        let mut client = clients[number % clients.len()].clone();
        async move {
            for _ in 0..calls / 16 {
                assert!(read(&mut client).await > 1_000, "it is no page");
            }
        }
    }))
    .await;
    (calls / 16 * 16) as f64 / started.elapsed().as_secs_f64()
}

/// The size of a page.
async fn read(client: &mut Grpc<Channel>) -> usize {
    let request = ListChatsRequest { page_size: PAGE, ..Default::default() };
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/chat.v1.ChatService/ListChats");
    client.unary(Request::new(request), path, Unmade).await.unwrap().into_inner()
}

/// Requests by prost; of answers, how long they are.
struct Unmade;

impl Codec for Unmade {
    type Encode = ListChatsRequest;
    type Decode = usize;
    type Encoder = ProstEncoder<ListChatsRequest>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<ListChatsRequest, ()>::default().encoder()
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Decoder for Unmade {
    type Item = usize;
    type Error = Status;

    fn decode(&mut self, answer: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        let size = answer.remaining();
        answer.advance(size);
        Ok(Some(size))
    }
}
