//! A worker's stream: the deliveries it gets, and what becomes of its answers.

use api::chat::v1::{
    Assignment, Bot,
    work_request::{Answer, Attend, Request},
};
use serde_json::json;
use testing::{Backend, apply, bad_fields, both, eventually, reason};
use tonic::Code;
use uuid::Uuid;
use wire::convert::{from_struct, to_struct};

use super::{
    Worker, assign, assigned_bot, assignment, body_of, bot, create, messages, open_deliveries,
    replies,
};
use crate::fixture::{Fixture, next_bodies};

#[apply(both!)]
async fn a_message_is_delivered_to_two_bots_and_both_reply(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    fixture.say(&chat, "before").await;
    let one = assigned_bot(&fixture, &chat, "one").await;
    let config = Some(to_struct(json!({"a": 1, "b": {"c": 2}})));
    let two = create(&fixture, Bot { config, ..bot("two") }).await.unwrap();
    let config_override = Some(to_struct(json!({"b": 3})));
    assign(&fixture, Assignment { config_override, ..assignment(&chat, &two) }).await.unwrap();
    let mut live = fixture.subscribe(&chat, "").await.unwrap();
    let mut workers =
        [Worker::attend(fixture.chat, "one").await, Worker::attend(fixture.chat, "two").await];
    let message = fixture.say(&chat, "hello").await;

    for (worker, bot) in workers.iter_mut().zip([&one, &two]) {
        let delivery = worker.next().await;
        assert_eq!((delivery.bot.as_ref(), delivery.attempt), (Some(bot), 1));
        assert_eq!(delivery.message.as_ref(), Some(&message));
        assert_eq!(delivery.chat.as_ref().map(|chat| &chat.id), Some(&chat));
        if bot.id == two.id {
            let config = from_struct(delivery.config.clone().unwrap()).unwrap();
            assert_eq!(config, json!({"a": 1, "b": 3}));
        }
        worker.reply(&delivery, &format!("from {}", bot.name)).await;
    }
    let mut bodies = next_bodies(&mut live, 3).await;
    bodies.sort();
    assert_eq!(bodies, ["from the one", "from the two", "hello"]);
    for reply in replies(&fixture, &message, 2).await {
        let bot = if reply.sender == one.id { &one } else { &two };
        assert_eq!(reply.sender, bot.id);
        let metadata = from_struct(reply.metadata.unwrap()).unwrap();
        let expected = json!({"id": bot.id, "type": bot.r#type, "name": bot.name});
        assert_eq!(metadata["bot"], expected);
        assert_eq!(Uuid::parse_str(&reply.id).unwrap().get_version_num(), 5);
    }
    // Neither bot got the other's reply: the next message is the next delivery.
    fixture.say(&chat, "next").await;
    for worker in &mut workers {
        worker.skip("next").await;
    }
    eventually("every delivery is answered", async || {
        (open_deliveries(&fixture).await == "0").then_some(())
    })
    .await;
    let answered =
        "select response from processed_messages where response is not null order by response";
    let answered: Vec<String> =
        fixture.database.column(answered).await.into_iter().flatten().collect();
    assert_eq!(answered, ["from the one", "from the two"]);
}

/// A bot with a lower priority number gets a message earlier. The others wait for it, but not for
/// long: deliveries of another chat that come later overtake the one that waits.
#[apply(both!)]
async fn a_lower_priority_number_gets_a_message_earlier(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (chat, other) = (fixture.chat("a").await, fixture.chat("b").await);
    for (kind, priority) in [("late", 2), ("early", 1)] {
        let bot = create(&fixture, bot(kind)).await.unwrap();
        assign(&fixture, Assignment { priority, ..assignment(&chat, &bot) }).await.unwrap();
    }
    assigned_bot(&fixture, &other, "late").await;
    let mut late = Worker::attend(fixture.chat, "late").await;
    fixture.say(&chat, "first").await;
    fixture.say(&other, "overtakes").await;
    late.skip("overtakes").await;
    let mut early = Worker::attend(fixture.chat, "early").await;
    assert_eq!(body_of(&early.next().await), "first");
    late.skip("first").await;
    // Without a worker of the first bot, the other one waits and then gets the message.
    drop(early);
    fixture.say(&chat, "second").await;
    fixture.say(&other, "overtakes again").await;
    late.skip("overtakes again").await;
    late.skip("second").await;
}

#[apply(both!)]
async fn a_worker_gets_messages_in_order_within_its_concurrency(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    for n in 0..20 {
        fixture.say(&chat, &n.to_string()).await;
    }
    let leased = "select count(*) from bot_deliveries where leased_until is not null";
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    for n in 0..20 {
        let delivery = worker.next().await;
        assert_eq!(body_of(&delivery), n.to_string());
        assert_eq!(fixture.database.column(leased).await, [Some("1".into())]);
        worker.reply(&delivery, "").await;
    }
    eventually("every delivery is answered", async || {
        (open_deliveries(&fixture).await == "0").then_some(())
    })
    .await;
    assert_eq!(messages(&fixture, &chat).await.len(), 20);
    let without_reply = "select count(*) from processed_messages where response is null";
    assert_eq!(fixture.database.column(without_reply).await, [Some("20".into())]);
}

#[apply(both!)]
async fn a_long_reply_is_kept_whole(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    let message = fixture.say(&chat, "tell me").await;
    let delivery = worker.next().await;
    let long = "é".repeat(32 * 1024);
    worker.reply(&delivery, &long).await;
    assert!(replies(&fixture, &message, 1).await[0].body == long);
    let response = fixture.database.column("select response from processed_messages").await;
    assert!(response == [Some(long)]);
}

#[apply(both!)]
async fn an_invalid_request_ends_the_stream(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let attend = |kind: &str| Attend { r#type: kind.into(), ..Attend::default() };
    let answer = |id: &str| Answer { delivery_id: id.into(), ..Answer::default() };
    let lease = prost_types::Duration { seconds: 0, nanos: 1 };
    let first = [
        (Request::Answer(answer("1.1.a")), "attend", "ATTEND_FIRST"),
        (Request::Attend(attend("")), "attend.type", "FIELD_REQUIRED"),
        (
            Request::Attend(Attend { concurrency: 1_000, ..attend("a") }),
            "attend.concurrency",
            "CONCURRENCY_TOO_HIGH",
        ),
        (
            Request::Attend(Attend { lease: Some(lease), ..attend("a") }),
            "attend.lease",
            "LEASE_OUT_OF_RANGE",
        ),
    ];
    for (request, field, expected) in first {
        let worker = Worker::open(fixture.chat).await;
        worker.request(request).await;
        let status = worker.status().await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, expected));
        assert_eq!(bad_fields(&status), [field]);
    }
    let then = [
        (Request::Attend(attend("a")), "attend", "ATTEND_TWICE"),
        (Request::Answer(answer("x")), "answer.delivery_id", "DELIVERY_ID_INVALID"),
    ];
    for (request, field, expected) in then {
        let worker = Worker::attend(fixture.chat, "a").await;
        worker.request(request).await;
        let status = worker.status().await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, expected));
        assert_eq!(bad_fields(&status), [field]);
    }
}
