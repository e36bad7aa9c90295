//! Ends: of a worker's chat, of the gate, of the service.

use api::chat::v1::{DeleteChatRequest, UnassignBotRequest};
use testing::{Backend, Process, apply, both, downgrade, eventually, info, reason, upgrade};
use tonic::Code;

use super::{Worker, body, client, replies, sitting, waiting};
use crate::fixture::{Fixture, message};

#[apply(both!)]
async fn a_closing_gate_ends_work_and_counts_nothing(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let worker = Worker::attend(fixture.chat, "echo").await;
    downgrade(fixture.schema, "-1").await.unwrap();
    let refused = worker.refused().await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason(&refused), "SCHEMA_NOT_AT_HEAD");
    upgrade(fixture.schema, "").await.unwrap();
    fixture.is(tonic_health::pb::health_check_response::ServingStatus::Serving).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "hello").await;
    assert_eq!(body(&worker.next().await), "hello");
}

#[apply(both!)]
async fn a_server_that_ends_gives_back_what_is_in_hand(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let schema_url = format!("http://{}", fixture.schema);
    let env = [("DATABASE_URL", fixture.database.url()), ("SCHEMA_URL", &schema_url)];
    let mut process = Process::start(env!("CARGO_BIN_EXE_chat"), &["serve"], &env);
    let address = process.address("chat").await;
    eventually("it serves", async || {
        let said = testing::health(address, "chat.v1.BotService").await.ok()?;
        (said == tonic_health::pb::health_check_response::ServingStatus::Serving).then_some(())
    })
    .await;
    let mut worker = Worker::attend(address, "echo").await;
    let said = fixture.say(&chat, "hello").await;
    let told = worker.next().await;
    assert!(process.terminate().await.success());
    assert_eq!(reason(&worker.refused().await), "SHUTTING_DOWN");
    let row = "select failures || ' ' || (leased_until is null) from bot_deliveries";
    let row: String = fixture.database.column(row).await.into_iter().flatten().collect();
    assert!(["0 true", "0 1"].contains(&row.as_str()), "{row}");
    let mut other = Worker::attend(fixture.chat, "echo").await;
    let again = other.next().await;
    assert_eq!(again.message, told.message);
    other.reply(&again, "hi").await;
    replies(&fixture, &said, 1).await;
}

#[apply(both!)]
async fn an_answer_to_a_chat_that_is_gone_is_dropped(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (gone, stays) = (fixture.chat("gone").await, fixture.chat("stays").await);
    let bot = sitting(&fixture, &gone, "echo").await;
    sitting(&fixture, &stays, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&gone, "hello").await;
    let told = worker.next().await;
    fixture.client().delete_chat(DeleteChatRequest { id: gone.clone() }).await.unwrap();
    worker.reply(&told, "to nobody").await;
    let said = fixture.say(&stays, "still there?").await;
    let told = worker.next().await;
    assert_eq!(body(&told), "still there?");
    // Nor is one answered whose bot was taken out of the chat.
    let away = UnassignBotRequest { chat_id: stays.clone(), bot_id: bot.id };
    assert!(client(fixture.chat).unassign_bot(away).await.is_err());
    worker.reply(&told, "yes").await;
    assert_eq!(replies(&fixture, &said, 1).await[0].body, "yes");
    assert_eq!(waiting(&fixture).await, "0");
}

#[apply(both!)]
async fn a_worker_holds_a_place_among_the_streams(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut config = fixture.config();
    config.limits.streams = std::num::NonZeroUsize::MIN;
    let replica = fixture.replica_with(config).await;
    let worker = Worker::attend(replica, "echo").await;
    let (_says, said) = tokio::sync::mpsc::channel(1);
    let said = tokio_stream::wrappers::ReceiverStream::new(said);
    let refused = client(replica).work(said).await.unwrap_err();
    assert_eq!(reason(&refused), "TOO_MANY_AT_ONCE");
    assert_eq!(info(&refused, "what"), "streams");
    drop(worker);
    eventually("the place is free", async || {
        let said = tokio_stream::pending();
        client(replica).work(said).await.ok()
    })
    .await;
    let chat = fixture.chat("a").await;
    fixture.send(message(&chat, "x")).await.unwrap();
}
