//! What happens to deliveries when the gate closes, the server stops, or a chat or bot is deleted.

use api::chat::v1::{DeleteChatRequest, UnassignBotRequest};
use testing::{Backend, Process, apply, both, downgrade, eventually, info, reason, upgrade};
use tonic::Code;

use super::{Worker, assigned_bot, body_of, client, messages, open_deliveries, replies};
use crate::fixture::Fixture;

#[apply(both!)]
async fn a_closing_gate_ends_streams(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let worker = Worker::attend(fixture.chat, "echo").await;
    downgrade(fixture.schema, "-1").await.unwrap();
    let refused = worker.status().await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason(&refused), "SCHEMA_NOT_AT_HEAD");
    upgrade(fixture.schema, "").await.unwrap();
    fixture.is(tonic_health::pb::health_check_response::ServingStatus::Serving).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "hello").await;
    assert_eq!(body_of(&worker.next().await), "hello");
}

#[apply(both!)]
async fn a_stopping_server_releases_deliveries_without_a_failure(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let schema_url = format!("http://{}", fixture.schema);
    let env = [("DATABASE_URL", fixture.database.url()), ("SCHEMA_URL", &schema_url)];
    let mut process = Process::start(env!("CARGO_BIN_EXE_chat"), &["serve"], &env);
    let address = process.address("chat").await;
    eventually("the server serves", async || {
        let status = testing::health(address, "chat.v1.BotService").await.ok()?;
        (status == tonic_health::pb::health_check_response::ServingStatus::Serving).then_some(())
    })
    .await;
    let mut worker = Worker::attend(address, "echo").await;
    let message = fixture.say(&chat, "hello").await;
    let delivery = worker.next().await;
    assert!(process.terminate().await.success());
    assert_eq!(reason(&worker.status().await), "SHUTTING_DOWN");
    let row = "select failures || ' ' || (leased_until is null) from bot_deliveries";
    let row: String = fixture.database.column(row).await.into_iter().flatten().collect();
    assert!(["0 true", "0 1"].contains(&row.as_str()), "{row}");
    let mut other = Worker::attend(fixture.chat, "echo").await;
    let again = other.next().await;
    assert_eq!(again.message, delivery.message);
    other.reply(&again, "hi").await;
    replies(&fixture, &message, 1).await;
}

#[apply(both!)]
async fn an_answer_to_a_deleted_chat_is_dropped(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (deleted, other) = (fixture.chat("deleted").await, fixture.chat("other").await);
    assigned_bot(&fixture, &deleted, "echo").await;
    assigned_bot(&fixture, &other, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&deleted, "hello").await;
    let delivery = worker.next().await;
    fixture.client().delete_chat(DeleteChatRequest { id: deleted }).await.unwrap();
    worker.reply(&delivery, "too late").await;
    goes_on(&fixture, &mut worker, &other).await;
}

#[apply(both!)]
async fn an_answer_of_an_unassigned_bot_is_dropped(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (chat, other) = (fixture.chat("a").await, fixture.chat("other").await);
    let bot = assigned_bot(&fixture, &chat, "echo").await;
    assigned_bot(&fixture, &other, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "hello").await;
    let delivery = worker.next().await;
    let unassign = UnassignBotRequest { chat_id: chat.clone(), bot_id: bot.id };
    client(fixture.chat).unassign_bot(unassign).await.unwrap();
    worker.reply(&delivery, "too late").await;
    goes_on(&fixture, &mut worker, &other).await;
    let bodies: Vec<String> =
        messages(&fixture, &chat).await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["hello"]);
}

/// A later answer of the worker is stored, so its earlier one was processed; no delivery is left.
async fn goes_on(fixture: &Fixture, worker: &mut Worker, chat_id: &str) {
    let message = fixture.say(chat_id, "still there?").await;
    let delivery = worker.next().await;
    assert_eq!(body_of(&delivery), "still there?");
    worker.reply(&delivery, "yes").await;
    assert_eq!(replies(fixture, &message, 1).await[0].body, "yes");
    assert_eq!(open_deliveries(fixture).await, "0");
}

#[apply(both!)]
async fn a_worker_counts_towards_the_stream_limit(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut config = fixture.config();
    config.limits.streams = std::num::NonZeroUsize::MIN;
    let replica = fixture.replica_with(config).await;
    let worker = Worker::attend(replica, "echo").await;
    let refused = client(replica).work(tokio_stream::pending()).await.unwrap_err();
    assert_eq!(reason(&refused), "TOO_MANY_AT_ONCE");
    assert_eq!(info(&refused, "what"), "streams");
    drop(worker);
    eventually("a stream is allowed again", async || {
        client(replica).work(tokio_stream::pending()).await.ok()
    })
    .await;
}
