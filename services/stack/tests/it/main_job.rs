//! The main purpose: a chat service serves no call until the schema is at head.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use api::{
    chat::v1::{Chat, ListChatsRequest, chat_service_client::ChatServiceClient},
    schema::v1::{UpgradeRequest, event::Kind, schema_service_client::SchemaServiceClient},
};
use testing::{
    Backend, apply, both, channel, downgrade, eventually, health, info, reason, retry_delay,
    revisions, upgrade,
};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::services::{chat, schema};

/// Limit for the time from the last commit to the first served call. Promised are 50 ms; the
/// `prompt` benchmark measures them. Here it is relative to a round trip, because other tests share
/// the machine.
const MIN_LIMIT: Duration = Duration::from_secs(1);
const ROUND_TRIPS: u32 = 50;

#[apply(both!)]
async fn a_chat_service_serves_calls_while_its_schema_is_at_head(backend: Backend) {
    let database = backend.empty().await;
    let mut schema = schema(&database);
    let schema = schema.address("schema").await;
    let revisions = revisions();
    let (first, pending) = revisions.split_first().unwrap();
    let last_but_one = &revisions[revisions.len() - 2];
    upgrade(schema, first).await.unwrap();
    let mut chat = chat(&database, schema);
    let chat = chat.address("chat").await;
    refused(chat, first).await;

    let limit = MIN_LIMIT.max(round_trip(chat).await * ROUND_TRIPS);
    let ((steps, committed), served) = tokio::join!(upgrade_to_head(schema), first_served(chat));
    assert_eq!(steps, pending);
    let delay = served.saturating_duration_since(committed);
    println!("{backend:?}: ListChats answered {delay:?} after the last commit");
    assert!(delay < limit, "{delay:?}, limit {limit:?}");
    serving(chat, ServingStatus::Serving).await;

    downgrade(schema, "-1").await.unwrap();
    refused(chat, last_but_one).await;

    upgrade(schema, "head").await.unwrap();
    first_served(chat).await;
    serving(chat, ServingStatus::Serving).await;
}

async fn list_chats(chat: SocketAddr) -> Result<Vec<Chat>, Status> {
    let mut client = ChatServiceClient::new(channel(chat));
    Ok(client.list_chats(ListChatsRequest::default()).await?.into_inner().chats)
}

/// The slowest of some refused calls.
async fn round_trip(chat: SocketAddr) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let started = Instant::now();
        let _ = list_chats(chat).await;
        slowest = slowest.max(started.elapsed());
    }
    slowest
}

/// Waits until calls are refused, with the details that a program and a person need.
async fn refused(chat: SocketAddr, current: &str) {
    let status = eventually("calls are refused", async || {
        let refused = list_chats(chat).await.err()?;
        // The reason until the schema service has answered.
        (reason(&refused) != "SCHEMA_UNREACHABLE").then_some(refused)
    })
    .await;
    let head = revisions().pop().unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "SCHEMA_NOT_AT_HEAD");
    assert_eq!(info(&status, "current"), current);
    assert_eq!(info(&status, "head"), head);
    assert!(info(&status, "required").as_str() > current, "{status:?}");
    assert!(retry_delay(&status).is_some(), "{status:?}");
    for word in [current, &head] {
        assert!(status.message().contains(word), "no {word} in {:?}", status.message());
    }
    serving(chat, ServingStatus::NotServing).await;
}

/// Waits until health follows the gate; liveness does not.
async fn serving(chat: SocketAddr, readiness: ServingStatus) {
    for service in ["", "chat.v1.ChatService"] {
        eventually("health follows", async || {
            (health(chat, service).await.unwrap() == readiness).then_some(())
        })
        .await;
    }
    assert_eq!(health(chat, "liveness").await.unwrap(), ServingStatus::Serving);
}

/// Calls until a call is served; returns when it was.
async fn first_served(chat: SocketAddr) -> Instant {
    let mut client = ChatServiceClient::new(channel(chat));
    eventually("a call is served", async || {
        client.list_chats(ListChatsRequest::default()).await.ok().map(|_| Instant::now())
    })
    .await
}

/// The applied revisions in order, and when the last one was reported.
async fn upgrade_to_head(schema: SocketAddr) -> (Vec<String>, Instant) {
    let mut client = SchemaServiceClient::new(channel(schema));
    let mut events = client.upgrade(UpgradeRequest::default()).await.unwrap().into_inner();
    let (mut steps, mut committed) = (Vec::new(), Instant::now());
    while let Some(response) = events.message().await.unwrap() {
        let event = response.event.unwrap();
        if event.kind() == Kind::StepFinished {
            steps.push(event.revision);
            committed = Instant::now();
        }
    }
    (steps, committed)
}
