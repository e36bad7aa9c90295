//! Which messages are delivered to a bot.

use api::chat::v1::{
    Assignment, Bot, CreateScheduleRequest, Schedule, SendMessageRequest, UpdateBotRequest,
    schedule::When, schedule_service_client::ScheduleServiceClient,
};
use prost_types::{FieldMask, Timestamp};
use serde_json::json;
use testing::{Backend, apply, both, channel, eventually};
use wire::convert::to_struct;

use super::{
    Worker, assign, assigned_bot, assignment, body_of, bot, client, create, open_deliveries,
    replies,
};
use crate::{
    fixture::{Fixture, message},
    order::{Holder, lock_waiter},
};

#[apply(both!)]
async fn messages_of_bots_are_delivered_to_bots_that_ask_for_them(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let echo = assigned_bot(&fixture, &chat, "echo").await;
    let config = Some(to_struct(json!({"hears_bots": true})));
    let all = create(&fixture, Bot { config, ..bot("all") }).await.unwrap();
    assign(&fixture, assignment(&chat, &all)).await.unwrap();
    // The assignment's config replaces the bot's.
    let without_bots =
        create(&fixture, Bot { config: all.config.clone(), ..bot("without-bots") }).await.unwrap();
    let config_override = Some(to_struct(json!({"hears_bots": false})));
    assign(&fixture, Assignment { config_override, ..assignment(&chat, &without_bots) })
        .await
        .unwrap();

    let mut workers = Vec::new();
    for kind in ["echo", "all", "without-bots"] {
        workers.push(Worker::attend(fixture.chat, kind).await);
    }
    let hello = fixture.say(&chat, "hello").await;
    for worker in &mut workers {
        let delivery = worker.next().await;
        let kind = &delivery.bot.as_ref().unwrap().r#type;
        worker.reply(&delivery, &format!("from {kind}")).await;
    }
    replies(&fixture, &hello, 3).await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let delivery = workers[1].next().await;
        bodies.push(body_of(&delivery).to_owned());
        workers[1].reply(&delivery, "").await;
    }
    bodies.sort();
    assert_eq!(bodies, ["from echo", "from without-bots"]);
    // What each bot gets next shows what it did not get before.
    fixture.say(&chat, "next").await;
    for worker in &mut workers {
        worker.skip("next").await;
    }
    // A sender that names itself as the bot counts as the bot.
    let own = SendMessageRequest { sender: echo.id, ..message(&chat, "own") };
    fixture.send(own).await.unwrap();
    fixture.say(&chat, "last").await;
    workers[0].skip("last").await;
    workers[1].skip("own").await;
    workers[2].skip("last").await;
}

#[apply(both!)]
async fn messages_from_while_a_bot_was_disabled_are_not_delivered(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let echo = assigned_bot(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    let enable = async |enabled| {
        let bot = Some(Bot { enabled, ..echo.clone() });
        let update_mask = Some(FieldMask { paths: vec!["enabled".into()] });
        let request = UpdateBotRequest { bot, update_mask };
        client(fixture.chat).update_bot(request).await.unwrap();
    };
    enable(false).await;
    fixture.say(&chat, "bot is off").await;
    enable(true).await;
    fixture.say(&chat, "bot is on").await;
    let delivery = worker.next().await;
    assert_eq!(body_of(&delivery), "bot is on");
    worker.reply(&delivery, "").await;

    let off = Assignment { enabled: false, ..assignment(&chat, &echo) };
    assign(&fixture, off).await.unwrap();
    fixture.say(&chat, "away").await;
    assign(&fixture, assignment(&chat, &echo)).await.unwrap();
    fixture.say(&chat, "back").await;
    assert_eq!(body_of(&worker.next().await), "back");
}

#[apply(both!)]
async fn messages_of_schedules_are_delivered(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    let at = Timestamp::from(std::time::SystemTime::now() + std::time::Duration::from_millis(200));
    let schedule = Schedule {
        chat_id: chat,
        message: "stand-up".into(),
        when: Some(When::Once(at)),
        enabled: true,
        ..Schedule::default()
    };
    let request = CreateScheduleRequest { schedule: Some(schedule) };
    let mut schedules = ScheduleServiceClient::new(channel(fixture.chat));
    schedules.create_schedule(request).await.unwrap();
    assert_eq!(body_of(&worker.next().await), "stand-up");
}

/// A foreign writer takes a position and commits late. No message may be delivered before its.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_commits_late_is_not_skipped() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "first").await;
    let delivery = worker.next().await;
    worker.reply(&delivery, "").await;
    let mut stalled = Holder::open(&fixture.database).await;
    stalled
        .run(&format!(
            "begin; insert into messages (id, chat_id, sender, body) \
             values ('00000000-0000-0000-0000-000000000001', '{chat}', 'other', 'stalled')"
        ))
        .await;
    let (mut sender, later) = (fixture.client(), message(&chat, "later"));
    let sending = tokio::spawn(async move { sender.send_message(later).await });
    lock_waiter(&fixture.database).await;
    stalled.run("commit").await;
    sending.await.unwrap().unwrap();
    for expected in ["stalled", "later"] {
        let delivery = worker.next().await;
        assert_eq!(body_of(&delivery), expected);
        worker.reply(&delivery, "").await;
    }
}

/// Another program may have written a config that is not JSON, or that `jsonb` would refuse.
#[apply(both!)]
async fn an_invalid_config_does_not_affect_other_bots(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let invalid = assigned_bot(&fixture, &chat, "invalid").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let config = match backend {
        Backend::Postgres => r#"{"a": "\u0000"}"#,
        Backend::Sqlite => "not json",
    };
    let sql = format!("update bots set config = '{config}' where id = '{}'", invalid.id);
    fixture.database.execute(&sql).await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "hello").await;
    let delivery = worker.next().await;
    assert_eq!(body_of(&delivery), "hello");
    worker.reply(&delivery, "").await;
    eventually("the delivery is answered", async || {
        (open_deliveries(&fixture).await == "1").then_some(())
    })
    .await;
}
