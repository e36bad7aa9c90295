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
/// Who read at once: as many as pgbench's clients.
const READERS: usize = 16;
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
        let size = (size / scale.rows).max(1_000);
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
    let pages = tokens(&stack).await;
    let same = rate(&stack, &pages[..1], calls * 4).await;
    let own = rate(&stack, &pages, calls * 4).await;
    print!(
        "ListChats ({PAGE}), 16 in flight: the first page {same:.0} a second, 16 pages {own:.0}"
    );
    match pgbench::run(&stack.database, SCRIPT, 16, scale) {
        Some(found) => println!(
            "; pgbench {:.0}, ratios {:.2} and {:.2}",
            found.rate,
            same / found.rate,
            own / found.rate
        ),
        None => println!("; there is no pgbench on the path"),
    }
}

/// A token that leads some pages in.
async fn deep(stack: &Stack) -> String {
    tokens(stack).await.swap_remove(DEEP - 1)
}

/// Tokens of as many pages as are read at once; the first one's is empty.
async fn tokens(stack: &Stack) -> Vec<String> {
    let (mut client, mut tokens) = (stack.client(), vec![String::new()]);
    while tokens.len() < READERS {
        let page_token = tokens.last().cloned().unwrap_or_default();
        let request = ListChatsRequest { page_size: PAGE, page_token, r#type: 0 };
        let page = client.list_chats(request).await.unwrap().into_inner();
        tokens.push(page.next_page_token);
    }
    tokens
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

/// Pages a second, one reader of each or all of the same. They are encoded, sent and read; like pgbench's, this client
/// makes nothing of what it read, so that what is measured is the service.
async fn rate(stack: &Stack, pages: &[String], calls: usize) -> f64 {
    let clients: Vec<_> = (0..CHANNELS).map(|_| Grpc::new(channel(stack.address))).collect();
    let started = Instant::now();
    join_all((0..READERS).map(|number| {
        let mut client = clients[number % clients.len()].clone();
        let page_token = &pages[number % pages.len()];
        async move {
            for _ in 0..calls / READERS {
                assert!(read(&mut client, page_token).await > 1_000, "it is no page");
            }
        }
    }))
    .await;
    (calls / READERS * READERS) as f64 / started.elapsed().as_secs_f64()
}

/// The size of a page.
async fn read(client: &mut Grpc<Channel>, page_token: &str) -> usize {
    let page_token = page_token.to_owned();
    let request = ListChatsRequest { page_size: PAGE, page_token, r#type: 0 };
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
