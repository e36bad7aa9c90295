//! Subscriptions: after a cursor, then live; every message once, also for slow readers.

use api::chat::v1::SubscribeResponse;
use futures_util::future::join_all;
use testing::{Backend, apply, both, downgrade, reason, upgrade};
use tonic::{Code, Streaming};
use tonic_health::pb::health_check_response::ServingStatus::Serving;

use crate::{
    chats::assert_invalid,
    fixture::{Fixture, next_bodies},
};

#[apply(both!)]
async fn a_subscription_starts_now_or_after_a_cursor(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (chat, other) = (fixture.chat("a").await, fixture.chat("b").await);
    let first = fixture.say(&chat, "1").await;
    let mut now = fixture.subscribe("", "").await.unwrap();
    let mut one = fixture.subscribe(&chat, "").await.unwrap();
    let second = fixture.say(&chat, "2").await;
    fixture.say(&other, "3").await;
    fixture.say(&chat, "4").await;
    assert_eq!(next_bodies(&mut now, 3).await, ["2", "3", "4"]);
    assert_eq!(next_bodies(&mut one, 2).await, ["2", "4"]);

    let mut after = fixture.subscribe("", &first.cursor).await.unwrap();
    let streamed = after.message().await.unwrap().unwrap().message.unwrap();
    assert_eq!(streamed, second, "as SendMessage returned it");
    let mut rest = fixture.subscribe(&chat, &streamed.cursor).await.unwrap();
    fixture.say(&chat, "5").await;
    assert_eq!(next_bodies(&mut after, 3).await, ["3", "4", "5"]);
    assert_eq!(next_bodies(&mut rest, 2).await, ["4", "5"]);
}

#[apply(both!)]
async fn invalid_subscriptions_are_refused(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let refused = fixture.subscribe("unknown", "").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CHAT_NOT_FOUND"));
    let refused = fixture.subscribe("", "x").await.unwrap_err();
    assert_invalid(&refused, "after", "CURSOR_INVALID");
}

#[apply(both!)]
async fn a_subscription_that_falls_behind_misses_nothing(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let first = fixture.say(&chat, "first").await;
    let mut all = fixture.subscribe("", &first.cursor).await.unwrap();
    let mut one = fixture.subscribe(&chat, &first.cursor).await.unwrap();
    // More than the buffers of the feed and of the connection hold, before anything is read.
    let body = "x".repeat(8 * 1024);
    let mut expected = Vec::new();
    for round in 0..6 {
        let batch = (0..250).map(|n| {
            let (mut client, body) = (fixture.client(), format!("{round} {n} {body}"));
            let message = crate::fixture::message(&chat, &body);
            tokio::spawn(async move { client.send_message(message).await.unwrap() })
        });
        for sent in batch.collect::<Vec<_>>() {
            sent.await.unwrap();
        }
    }
    let column = fixture.database.column("select body from messages order by position").await;
    expected.extend(column.into_iter().flatten().skip(1));
    for stream in [&mut all, &mut one] {
        assert!(next_bodies(stream, expected.len()).await == expected, "all of them, in order");
    }
    fixture.say(&chat, "live again").await;
    assert_eq!(next_bodies(&mut all, 1).await, ["live again"]);
    assert_eq!(next_bodies(&mut one, 1).await, ["live again"]);
}

#[apply(both!)]
async fn a_message_of_another_replica_arrives_without_a_bus(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let replica = fixture.replica().await;
    let mut client =
        api::chat::v1::chat_service_client::ChatServiceClient::new(testing::channel(replica));
    let request = api::chat::v1::SubscribeRequest { chat_id: chat.clone(), after: String::new() };
    let mut elsewhere: Streaming<SubscribeResponse> =
        client.subscribe(request).await.unwrap().into_inner();
    fixture.say(&chat, "over there").await;
    assert_eq!(next_bodies(&mut elsewhere, 1).await, ["over there"]);
}

#[apply(both!)]
async fn a_subscription_ends_when_the_gate_closes(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let mut stream = fixture.subscribe("", "").await.unwrap();
    fixture.say(&chat, "1").await;
    assert_eq!(next_bodies(&mut stream, 1).await, ["1"]);
    downgrade(fixture.schema, "-1").await.unwrap();
    let ended = stream.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert!(reason(&ended).starts_with("SCHEMA_"), "{ended}");
    upgrade(fixture.schema, "").await.unwrap();
    fixture.is(Serving).await;
    let mut stream = fixture.subscribe("", "").await.unwrap();
    fixture.say(&chat, "2").await;
    assert_eq!(next_bodies(&mut stream, 1).await, ["2"]);
}

#[apply(both!)]
async fn the_feed_restarts_after_the_last_subscription_ended(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    for round in 0..5 {
        let mut stream = fixture.subscribe(&chat, "").await.unwrap();
        let body = round.to_string();
        fixture.say(&chat, &body).await;
        assert_eq!(next_bodies(&mut stream, 1).await, [body]);
        drop(stream);
        fixture.say(&chat, "between subscriptions").await;
    }
}

#[apply(both!)]
async fn more_subscriptions_than_connections_start_at_once(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    // Many more than there are connections to the database.
    let streams = join_all((0..50).map(|_| fixture.subscribe(&chat, ""))).await;
    fixture.say(&chat, "hello").await;
    for stream in streams {
        assert_eq!(next_bodies(&mut stream.unwrap(), 1).await, ["hello"]);
    }
}
