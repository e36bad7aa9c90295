//! Limits and deadlines.

use std::{num::NonZeroUsize, time::Duration};

use api::chat::v1::{
    GetChatRequest, ImportChatsRequest, SubscribeRequest, chat_service_client::ChatServiceClient,
    get_chat_request::Key,
};
use futures_util::future::join_all;
use serde_json::json;
use testing::{Backend, apply, both, channel, eventually, info, reason, retry_delay};
use tonic::{Code, Request, Status};
use wire::convert::to_struct;

use crate::{
    fixture::{Fixture, chat, message, next_bodies},
    order::Holder,
};

const ONE: NonZeroUsize = NonZeroUsize::MIN;
/// It is so whenever it is tried again.
const TOO_LARGE: (Code, &str) = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE");

#[apply(both!)]
async fn one_subscriber_too_many_is_refused(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut config = fixture.config();
    config.limits.streams = ONE;
    let mut client = ChatServiceClient::new(channel(fixture.replica_with(config).await));
    let first = client.subscribe(SubscribeRequest::default()).await.unwrap();
    let refused = client.subscribe(SubscribeRequest::default()).await.unwrap_err();
    assert_exhausted(&refused, "TOO_MANY_AT_ONCE");
    assert_eq!(info(&refused, "what"), "streams");
    // The one in hand goes on, and its place is free when it ends.
    let id = fixture.chat("a").await;
    fixture.say(&id, "x").await;
    let mut first = first.into_inner();
    assert_eq!(next_bodies(&mut first, 1).await, ["x"]);
    drop(first);
    eventually("the place is free", async || {
        client.subscribe(SubscribeRequest::default()).await.ok()
    })
    .await;
}

#[apply(both!)]
async fn one_call_too_many_is_refused_while_the_others_go_on(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut config = fixture.config();
    config.limits.requests = ONE;
    let address = fixture.replica_with(config).await;
    let mut client = ChatServiceClient::new(channel(address));
    // A stream that is not at its end is a call in hand.
    let (rows, stream) = tokio::sync::mpsc::channel(1);
    let mut importing = client.clone();
    let import = tokio::spawn(async move {
        importing.import_chats(tokio_stream::wrappers::ReceiverStream::new(stream)).await
    });
    // More than the connection holds: the server has begun to read.
    for n in 0..4 {
        let mut row = chat(&n.to_string());
        row.metadata = Some(to_struct(json!({"a": "x".repeat(1024 * 1024)})));
        rows.send(ImportChatsRequest { chat: Some(row) }).await.unwrap();
    }
    let get = GetChatRequest { key: Some(Key::Jid("b".into())) };
    let refused = eventually("a refusal", async || {
        let refused = client.get_chat(get.clone()).await.unwrap_err();
        (refused.code() != Code::NotFound).then_some(refused)
    })
    .await;
    assert_exhausted(&refused, "TOO_MANY_AT_ONCE");
    drop(rows);
    assert_eq!(import.await.unwrap().unwrap().into_inner().created, 4);
    eventually("there is room again", async || {
        let refused = client.get_chat(get.clone()).await.unwrap_err();
        (refused.code() == Code::NotFound).then_some(())
    })
    .await;
}

#[apply(both!)]
async fn a_request_that_is_too_large_is_refused(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let id = fixture.chat("a").await;
    let refused = fixture.send(message(&id, &"x".repeat(5 * 1024 * 1024))).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), TOO_LARGE);
    let mut row = chat("b");
    row.name = "n".repeat(5 * 1024 * 1024);
    let rows = tokio_stream::iter([ImportChatsRequest { chat: Some(row) }]);
    let refused = fixture.client().import_chats(rows).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), TOO_LARGE);
}

#[apply(both!)]
async fn a_message_whose_caller_gave_up_is_not_stored(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let id = fixture.chat("a").await;
    let begin = match backend {
        Backend::Postgres => "begin; lock table messages in exclusive mode",
        Backend::Sqlite => "begin immediate",
    };
    let mut holder = Holder::open(&fixture.database).await;
    holder.run(begin).await;
    // The first is in the database's hands; the others wait behind it, with a deadline.
    let (mut client, first) = (fixture.client(), message(&id, "first"));
    let first = tokio::spawn(async move { client.send_message(first).await });
    match backend {
        Backend::Postgres => {
            let waiting = "select 1 from pg_locks where not granted and database = \
                           (select oid from pg_database where datname = current_database())";
            eventually("the first waits for the lock", async || {
                (!fixture.database.column(waiting).await.is_empty()).then_some(())
            })
            .await;
        }
        // It does not show who waits for its lock.
        Backend::Sqlite => tokio::time::sleep(Duration::from_millis(100)).await,
    }
    let late = join_all((0..10).map(|n| {
        let mut request = Request::new(message(&id, &format!("late {n}")));
        request.set_timeout(Duration::from_millis(200));
        let mut client = fixture.client();
        async move { client.send_message(request).await.unwrap_err() }
    }))
    .await;
    for refused in late {
        assert!([Code::Cancelled, Code::DeadlineExceeded].contains(&refused.code()), "{refused}");
    }
    holder.run("commit").await;
    first.await.unwrap().unwrap();
    fixture.say(&id, "last").await;
    let column = fixture.database.column("select body from messages order by position").await;
    let bodies: Vec<String> = column.into_iter().flatten().collect();
    // On SQLite, one of the late ones may have been in the same first batch.
    assert!(bodies.len() <= 3 && bodies.contains(&"last".into()), "{bodies:?}");
}

fn assert_exhausted(refused: &Status, why: &str) {
    assert_eq!((refused.code(), reason(refused).as_str()), (Code::ResourceExhausted, why));
    assert!(retry_delay(refused).is_some());
}
