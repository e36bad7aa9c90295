//! ListChats: whatever their number, whichever the page.

use std::time::Instant;

use api::chat::v1::ListChatsRequest;
use bytes::Buf as _;
use futures_util::future::try_join_all;
use testing::{Backend, channel};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::{CHANNELS, Scale, Stack, TURNS, median, pgbench};

const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];
const PAGE: i32 = 50;
/// Concurrent readers, as many as pgbench's clients.
const READERS: usize = 16;
/// Chats that are skipped at a time on the way to a page in the middle.
const STRIDE: usize = 100;

/// The same page as the service's own first query reads it.
const SCRIPT: &str = "\
SELECT id, jid, name, chat_type, metadata, created_at, updated_at, last_message_at FROM chats
WHERE last_message_at IS NOT NULL
ORDER BY last_message_at DESC, created_at DESC, id DESC LIMIT 51;
";

/// The cost of a page as chats come, and its rate beside pgbench's.
pub async fn pages(scale: Scale) {
    let mut stacks = Vec::new();
    for size in SIZES {
        let stack = Stack::start(Backend::Postgres).await;
        let size = (size / scale.rows).max(SIZES[0]);
        stack.fill(1, size).await;
        stacks.push((size, stack));
    }
    costs(&stacks, scale).await;
    if let Some((_, largest)) = stacks.last() {
        rates(largest, scale).await;
    }
}

/// What one page costs, the first and one amid all, beside one client of pgbench's.
async fn costs(stacks: &[(usize, Stack)], scale: Scale) {
    let mut found = Vec::new();
    for (size, stack) in stacks {
        found.push((amid(stack, *size).await, Vec::new(), Vec::new(), Vec::new()));
    }
    for _ in 0..TURNS {
        for ((_, stack), (amid, first, deep, bench)) in stacks.iter().zip(&mut found) {
            first.push(cost(stack, "", scale.turn()).await);
            deep.push(cost(stack, amid, scale.turn()).await);
            bench.extend(pgbench::run(&stack.database, SCRIPT, 1, scale.turn()));
        }
    }
    for ((size, _), (_, first, deep, bench)) in stacks.iter().zip(found) {
        print!(
            "ListChats ({PAGE}) of {size}: the first page {:.2} ms, one amid all {:.2} ms",
            median(first),
            median(deep)
        );
        match bench.len() {
            0 => println!("; pgbench is not installed"),
            _ => println!("; pgbench {:.2} ms", median(bench.iter().map(|b| b.latency).collect())),
        }
    }
}

/// Pages a second, beside as many clients of pgbench's.
async fn rates(stack: &Stack, scale: Scale) {
    let pages = tokens(stack).await;
    let (mut same, mut own, mut bench) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        same.push(rate(READERS, stack, &pages[..1], scale.turn()).await);
        own.push(rate(READERS, stack, &pages, scale.turn()).await);
        bench.extend(pgbench::run(&stack.database, SCRIPT, READERS, scale.turn()));
    }
    let (same, own) = (median(same), median(own));
    print!(
        "ListChats ({PAGE}), {READERS} in flight: the first page {same:.0} a second, \
         {READERS} pages {own:.0}"
    );
    if bench.is_empty() {
        return println!("; pgbench is not installed");
    }
    let bench = median(bench.iter().map(|found| found.rate).collect());
    println!("; pgbench {bench:.0}, ratios {:.2} and {:.2}", same / bench, own / bench);
}

/// A token that leads to a page in the middle of so many chats.
async fn amid(stack: &Stack, size: usize) -> String {
    let (mut client, mut page_token) = (stack.client(), String::new());
    for _ in 0..size.div_ceil(2 * STRIDE) {
        let request = ListChatsRequest { page_size: STRIDE as i32, page_token, r#type: 0 };
        page_token = client.list_chats(request).await.unwrap().into_inner().next_page_token;
    }
    page_token
}

/// A page token for each concurrent reader; the first is empty.
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

/// Milliseconds for a page, one after the other for a while.
async fn cost(stack: &Stack, page_token: &str, scale: Scale) -> f64 {
    1e3 / rate(1, stack, &[page_token.to_owned()], scale).await
}

/// Pages a second that so many read, each the next of those given. They are encoded, sent and
/// read; like pgbench's, this client makes nothing of what it read, so that what is measured is the
/// service.
async fn rate(readers: usize, stack: &Stack, pages: &[String], scale: Scale) -> f64 {
    let clients: Vec<_> = (0..CHANNELS).map(|_| Grpc::new(channel(stack.address))).collect();
    let started = Instant::now();
    let reading = (0..readers).map(|number| {
        let mut client = clients[number % clients.len()].clone();
        let page_token = pages[number % pages.len()].clone();
        // A task of its own, as in any client that reads: no thread waits for another's.
        tokio::spawn(async move {
            let mut read = 0;
            while started.elapsed() < scale.lasting {
                assert!(page(&mut client, &page_token).await > 1_000, "not a full page");
                read += 1;
            }
            read
        })
    });
    let read: u32 = try_join_all(reading).await.unwrap().into_iter().sum();
    f64::from(read) / started.elapsed().as_secs_f64()
}

/// The size of a page.
async fn page(client: &mut Grpc<Channel>, page_token: &str) -> usize {
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
