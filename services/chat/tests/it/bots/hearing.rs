//! What a bot hears, and what it does not.

use api::chat::v1::{
    Assignment, Bot, CreateScheduleRequest, Schedule, SendMessageRequest, UpdateBotRequest,
    schedule::When, schedule_service_client::ScheduleServiceClient,
};
use prost_types::{FieldMask, Timestamp};
use serde_json::json;
use testing::{Backend, apply, both, channel, eventually};
use wire::convert::to_struct;

use super::{Worker, assign, assignment, body, bot, client, create, replies, sitting, waiting};
use crate::{
    fixture::{Fixture, message},
    order::Holder,
};

#[apply(both!)]
async fn bots_hear_no_bots_unless_they_say_so(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let echo = sitting(&fixture, &chat, "echo").await;
    let config = Some(to_struct(json!({"hears_bots": true})));
    let all = create(&fixture, Bot { config, ..bot("all") }).await.unwrap();
    assign(&fixture, assignment(&chat, &all)).await.unwrap();
    // The chat's own word goes before the bot's.
    let deaf = create(&fixture, Bot { config: all.config.clone(), ..bot("deaf") }).await.unwrap();
    let config_override = Some(to_struct(json!({"hears_bots": false})));
    assign(&fixture, Assignment { config_override, ..assignment(&chat, &deaf) }).await.unwrap();

    let mut workers = Vec::new();
    for kind in ["echo", "all", "deaf"] {
        workers.push(Worker::attend(fixture.chat, kind).await);
    }
    let said = fixture.say(&chat, "hello").await;
    for worker in &mut workers {
        let told = worker.next().await;
        let kind = &told.bot.as_ref().unwrap().r#type;
        worker.reply(&told, &format!("said {kind}")).await;
    }
    replies(&fixture, &said, 3).await;
    let mut heard = Vec::new();
    for _ in 0..2 {
        let told = workers[1].next().await;
        heard.push(body(&told).to_owned());
        workers[1].reply(&told, "").await;
    }
    heard.sort();
    assert_eq!(heard, ["said deaf", "said echo"]);
    for worker in &mut workers {
        worker.is_idle().await;
    }
    // Somebody who only says that it is the bot is taken for the bot.
    let own = SendMessageRequest { sender: echo.id, ..message(&chat, "own") };
    fixture.send(own).await.unwrap();
    assert_eq!(body(&workers[1].next().await), "own");
    workers[0].is_idle().await;
}

#[apply(both!)]
async fn what_was_said_while_a_bot_was_off_is_not_for_it(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let echo = sitting(&fixture, &chat, "echo").await;
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
    let told = worker.next().await;
    assert_eq!(body(&told), "bot is on");
    worker.reply(&told, "").await;

    let off = Assignment { enabled: false, ..assignment(&chat, &echo) };
    assign(&fixture, off).await.unwrap();
    fixture.say(&chat, "away").await;
    assign(&fixture, assignment(&chat, &echo)).await.unwrap();
    fixture.say(&chat, "back").await;
    assert_eq!(body(&worker.next().await), "back");
}

#[apply(both!)]
async fn what_a_schedule_says_reaches_bots(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
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
    assert_eq!(body(&worker.next().await), "stand-up");
}

/// A foreign writer has its position, and commits late: nobody else's message passes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_commits_late_is_not_skipped() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "first").await;
    let told = worker.next().await;
    worker.reply(&told, "").await;
    let mut stalled = Holder::open(&fixture.database).await;
    stalled
        .run(&format!(
            "begin; insert into messages (id, chat_id, sender, body) \
             values ('00000000-0000-0000-0000-000000000001', '{chat}', 'other', 'stalled')"
        ))
        .await;
    let (mut sender, later) = (fixture.client(), message(&chat, "later"));
    let sending = tokio::spawn(async move { sender.send_message(later).await });
    worker.is_idle().await;
    stalled.run("commit").await;
    sending.await.unwrap().unwrap();
    for expected in ["stalled", "later"] {
        let told = worker.next().await;
        assert_eq!(body(&told), expected);
        worker.reply(&told, "").await;
    }
}

/// Another program may have written what is no object, or what `jsonb` would refuse.
#[apply(both!)]
async fn a_strange_config_stops_no_other_bot(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let strange = sitting(&fixture, &chat, "strange").await;
    sitting(&fixture, &chat, "echo").await;
    let config = match backend {
        Backend::Postgres => r#"{"a": "\u0000"}"#,
        Backend::Sqlite => "not json",
    };
    let sql = format!("update bots set config = '{config}' where id = '{}'", strange.id);
    fixture.database.execute(&sql).await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "hello").await;
    let told = worker.next().await;
    assert_eq!(body(&told), "hello");
    worker.reply(&told, "").await;
    eventually("it is answered", async || (waiting(&fixture).await == "1").then_some(())).await;
}
