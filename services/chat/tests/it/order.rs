//! One order of messages for all readers, although writers stall: the guarantee of `messages.rs`.

use database::{Connection, Database, with_conn};
use diesel_async::SimpleAsyncConnection as _;
use testing::{Backend, TestDatabase, apply, both, eventually, reason, retry_delay};
use tonic::Code;

use crate::fixture::{Fixture, message, next_bodies};

/// A connection that keeps its transaction open until the test ends it.
pub(crate) struct Holder(Connection);

impl Holder {
    pub(crate) async fn open(database: &TestDatabase) -> Self {
        let pool = Database::new(&database.url().parse().unwrap(), "holder", 1);
        Self(pool.connection().await.unwrap())
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        with_conn!(&mut self.0, c => c.batch_execute(sql).await).unwrap();
    }
}

/// Waits until a session of a PostgreSQL database waits for a lock.
pub(crate) async fn lock_waiter(database: &TestDatabase) {
    let waiters = "select pid from pg_stat_activity \
                   where datname = current_database() and wait_event_type = 'Lock'";
    eventually("a session waits for a lock", async || {
        (!database.column(waiters).await.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_commits_late_is_not_skipped() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    let chat = fixture.chat("a").await;
    let first = fixture.say(&chat, "first").await;
    let mut all = fixture.subscribe("", &first.cursor).await.unwrap();

    // It has taken its position and not committed.
    let mut stalled = Holder::open(&fixture.database).await;
    stalled
        .run(&format!(
            "begin; insert into messages (id, chat_id, sender, body) \
             values ('00000000-0000-0000-0000-000000000001', '{chat}', 'other', 'stalled')"
        ))
        .await;
    let (mut client, later) = (fixture.client(), message(&chat, "later"));
    let sending = tokio::spawn(async move { client.send_message(later).await });
    lock_waiter(&fixture.database).await;
    stalled.run("commit").await;
    sending.await.unwrap().unwrap();
    assert_eq!(next_bodies(&mut all, 2).await, ["stalled", "later"]);

    // No reader waits for the gap that a rollback leaves.
    stalled
        .run(&format!(
            "begin; insert into messages (id, chat_id, sender, body) \
             values ('00000000-0000-0000-0000-000000000002', '{chat}', 'other', 'undone'); rollback"
        ))
        .await;
    fixture.say(&chat, "last").await;
    assert_eq!(next_bodies(&mut all, 1).await, ["last"]);
    let from_the_start = fixture.subscribe("", &first.cursor).await.unwrap();
    assert_eq!(next_bodies(&mut { from_the_start }, 3).await, ["stalled", "later", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_database_busy_while_a_writer_stalls() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    let chat = fixture.chat("a").await;
    let mut stalled = Holder::open(&fixture.database).await;
    stalled
        .run(&format!(
            "begin; insert into messages (id, chat_id, sender, body) \
             values ('00000000-0000-0000-0000-000000000001', '{chat}', 'other', 'stalled')"
        ))
        .await;
    let refused = fixture.send(message(&chat, "x")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "DATABASE_BUSY"));
    assert!(retry_delay(&refused).is_some());
    stalled.run("rollback").await;
    fixture.say(&chat, "y").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_delays_only_the_chats_that_it_locks() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    let (held, free) = (fixture.chat("held").await, fixture.chat("free").await);
    let mut all = fixture.subscribe("", "").await.unwrap();
    let mut long = Holder::open(&fixture.database).await;
    // It has a transaction id, a snapshot of everything, and a lock on one chat.
    long.run(&format!(
        "begin isolation level repeatable read; create table backfill (n integer); \
         select count(*) from messages; update chats set name = 'x' where id = '{held}'"
    ))
    .await;
    let (mut client, waiting) = (fixture.client(), message(&held, "held"));
    let waiting = tokio::spawn(async move { client.send_message(waiting).await });
    for n in 0..5 {
        fixture.say(&free, &n.to_string()).await;
    }
    assert_eq!(next_bodies(&mut all, 5).await, ["0", "1", "2", "3", "4"]);
    assert!(!waiting.is_finished());
    long.run("commit").await;
    waiting.await.unwrap().unwrap();
    assert_eq!(next_bodies(&mut all, 1).await, ["held"]);
}

#[apply(both!)]
async fn all_subscriptions_of_all_replicas_see_one_order(backend: Backend) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let fixture = Fixture::ready(backend).await;
    let chats = [fixture.chat("a").await, fixture.chat("b").await];
    let replicas = [fixture.chat, fixture.replica().await];
    let clients = replicas.map(|address| {
        api::chat::v1::chat_service_client::ChatServiceClient::new(testing::channel(address))
    });
    let mut streams = Vec::new();
    for client in &clients {
        for _ in 0..3 {
            let request = api::chat::v1::SubscribeRequest::default();
            streams.push(client.clone().subscribe(request).await.unwrap().into_inner());
        }
    }
    let writers = (0..WRITERS).map(|writer| {
        let mut client = clients[writer % 2].clone();
        let chat = chats[writer / 2 % 2].clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                client.send_message(message(&chat, &format!("{writer} {n}"))).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut orders = Vec::new();
    for stream in &mut streams {
        orders.push(next_bodies(stream, WRITERS * EACH).await);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let column = fixture.database.column("select body from messages order by position").await;
    let stored: Vec<String> = column.into_iter().flatten().collect();
    for order in orders {
        assert_eq!(order, stored);
    }
}
