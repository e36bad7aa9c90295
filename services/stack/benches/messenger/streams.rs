//! Subscribe: how soon a message arrives, and the memory of idle subscriptions.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::chat::v1::{SendMessageRequest, SubscribeRequest, chat_service_client::ChatServiceClient};
use testing::Backend;
use tokio::{
    sync::{Barrier, mpsc},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tonic::transport::Channel;

use super::{
    Scale, Stack,
    figures::{Spread, resident},
};

const SUBSCRIBERS: usize = 100;
/// Messages a second.
const MESSAGES: u32 = 1_000;
const IDLE: usize = 10_000;
/// Streams on one connection.
const STREAMS_PER_CONNECTION: usize = 200;

/// From a message's `sent_at`, which is before its commit, to its arrival at each subscriber.
pub async fn live(scale: Scale) {
    for backend in [Backend::Postgres, Backend::Sqlite] {
        let stack = Stack::start(backend).await;
        stack.database.execute("insert into chats (id, jid) values ('chat-1', '1')").await;
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let mut listening = JoinSet::new();
        let clients = stack.clients();
        let ready = Arc::new(Barrier::new(SUBSCRIBERS + 1));
        for number in 0..SUBSCRIBERS {
            let client = clients[number % clients.len()].clone();
            listening.spawn(listen(client, Arc::clone(&ready), arrived.clone()));
        }
        drop(arrived);
        ready.wait().await;
        let sent = speak(&stack, scale.lasting).await;
        let mut spread = Spread::default();
        for _ in 0..sent * SUBSCRIBERS {
            let (from, to) = arrivals.recv().await.unwrap();
            spread.add(from, to);
        }
        println!("{backend:?}: Subscribe, {SUBSCRIBERS} at {MESSAGES} a second: {spread}");
        listening.abort_all();
    }
}

/// Sends at a steady rate; returns how many.
async fn speak(stack: &Stack, lasting: Duration) -> usize {
    let clients = stack.clients();
    let mut pace = tokio::time::interval(Duration::from_secs(1) / MESSAGES);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut speaking = JoinSet::new();
    let started = SystemTime::now();
    let mut sent = 0;
    while started.elapsed().unwrap() < lasting {
        pace.tick().await;
        let mut client = clients[sent % clients.len()].clone();
        speaking.spawn(async move {
            let request = SendMessageRequest {
                chat_id: "chat-1".into(),
                sender: "me".into(),
                body: "hello".into(),
                ..SendMessageRequest::default()
            };
            client.send_message(request).await.unwrap();
        });
        sent += 1;
    }
    while let Some(done) = speaking.join_next().await {
        done.unwrap();
    }
    sent
}

async fn listen(
    mut client: ChatServiceClient<Channel>,
    ready: Arc<Barrier>,
    arrived: mpsc::UnboundedSender<(SystemTime, SystemTime)>,
) {
    let stream = client.subscribe(SubscribeRequest::default()).await.unwrap();
    let mut stream = stream.into_inner();
    ready.wait().await;
    while let Ok(Some(next)) = stream.message().await {
        let sent_at = next.message.unwrap().sent_at.unwrap();
        let sent_at = SystemTime::try_from(sent_at).unwrap();
        if arrived.send((sent_at, SystemTime::now())).is_err() {
            return;
        }
    }
}

/// The service's memory with many idle subscriptions.
pub async fn idle(scale: Scale) {
    let stack = Stack::start(Backend::Postgres).await;
    stack.database.execute("insert into chats (id, jid) values ('chat-1', '1')").await;
    let alone = resident(&stack.chat);
    let count = (IDLE / scale.rows).max(2);
    let mut streams = Vec::new();
    let mut client = stack.client();
    for number in 0..count {
        if number % STREAMS_PER_CONNECTION == 0 {
            client = stack.client();
        }
        let request = SubscribeRequest { chat_id: "chat-1".into(), after: String::new() };
        streams.push(client.subscribe(request).await.unwrap().into_inner());
    }
    let listening = resident(&stack.chat);
    println!("{count} idle subscribers: {listening:.0} MiB resident, {alone:.0} without them");
}
