//! A worker's stream: what it is handed, and what becomes of its answers.

use api::chat::v1::{
    Assignment, Bot,
    work_request::{Answer, Attend, Request},
};
use serde_json::json;
use testing::{Backend, apply, bad_fields, both, eventually, reason};
use tonic::Code;
use uuid::Uuid;
use wire::convert::{from_struct, to_struct};

use super::{Worker, assign, assignment, body, bot, create, messages, replies, sitting, waiting};
use crate::fixture::{Fixture, heard};

#[apply(both!)]
async fn a_message_reaches_two_bots_and_both_answer(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    fixture.say(&chat, "before").await;
    let one = sitting(&fixture, &chat, "one").await;
    let config = Some(to_struct(json!({"a": 1, "b": {"c": 2}})));
    let two = create(&fixture, Bot { config, ..bot("two") }).await.unwrap();
    let config_override = Some(to_struct(json!({"b": 3})));
    assign(&fixture, Assignment { config_override, ..assignment(&chat, &two) }).await.unwrap();
    let mut live = fixture.subscribe(&chat, "").await.unwrap();
    let mut workers =
        [Worker::attend(fixture.chat, "one").await, Worker::attend(fixture.chat, "two").await];
    let said = fixture.say(&chat, "hello").await;

    for (worker, bot) in workers.iter_mut().zip([&one, &two]) {
        let told = worker.next().await;
        assert_eq!((told.bot.as_ref(), told.attempt), (Some(bot), 1));
        assert_eq!(told.message.as_ref(), Some(&said));
        assert_eq!(told.chat.as_ref().map(|chat| &chat.id), Some(&chat));
        if bot.id == two.id {
            let config = from_struct(told.config.clone().unwrap()).unwrap();
            assert_eq!(config, json!({"a": 1, "b": 3}));
        }
        worker.reply(&told, &format!("said {}", bot.name)).await;
    }
    let mut bodies = heard(&mut live, 3).await;
    bodies.sort();
    assert_eq!(bodies, ["hello", "said the one", "said the two"]);
    for reply in replies(&fixture, &said, 2).await {
        let bot = if reply.sender == one.id { &one } else { &two };
        assert_eq!(reply.sender, bot.id);
        let named = from_struct(reply.metadata.unwrap()).unwrap();
        let named_as = json!({"id": bot.id, "type": bot.r#type, "name": bot.name});
        assert_eq!(named["bot"], named_as);
        assert_eq!(Uuid::parse_str(&reply.id).unwrap().get_version_num(), 5);
    }
    for worker in &mut workers {
        worker.is_idle().await;
    }
    assert_eq!(waiting(&fixture).await, "0");
    let answered = "select response from processed_messages order by response";
    let answered: Vec<String> =
        fixture.database.column(answered).await.into_iter().flatten().collect();
    assert_eq!(answered, ["said the one", "said the two"]);
}

#[apply(both!)]
async fn lower_sees_a_message_earlier_but_holds_nobody_up(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    for (kind, priority) in [("late", 2), ("early", 1)] {
        let bot = create(&fixture, bot(kind)).await.unwrap();
        assign(&fixture, Assignment { priority, ..assignment(&chat, &bot) }).await.unwrap();
    }
    let mut late = Worker::attend(fixture.chat, "late").await;
    fixture.say(&chat, "first").await;
    late.is_idle().await;
    let mut early = Worker::attend(fixture.chat, "early").await;
    assert_eq!(body(&early.next().await), "first");
    let told = late.next().await;
    assert_eq!(body(&told), "first");
    late.reply(&told, "").await;
    // The other one is gone: it is waited for, and then no more.
    drop(early);
    fixture.say(&chat, "second").await;
    late.is_idle().await;
    assert_eq!(body(&late.next().await), "second");
}

#[apply(both!)]
async fn one_worker_gets_a_chat_in_order(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    for n in 0..20 {
        fixture.say(&chat, &n.to_string()).await;
    }
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    for n in 0..20 {
        let told = worker.next().await;
        assert_eq!(body(&told), n.to_string());
        if n == 0 {
            // No more in hand than it said.
            worker.is_idle().await;
        }
        worker.reply(&told, "").await;
    }
    eventually("all is answered", async || (waiting(&fixture).await == "0").then_some(())).await;
    assert_eq!(messages(&fixture, &chat).await.len(), 20);
    let silent = "select count(*) from processed_messages where response is null";
    assert_eq!(fixture.database.column(silent).await, [Some("20".into())]);
}

#[apply(both!)]
async fn a_long_answer_is_kept_whole(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    let said = fixture.say(&chat, "tell me").await;
    let told = worker.next().await;
    let long = "é".repeat(32 * 1024);
    worker.reply(&told, &long).await;
    assert!(replies(&fixture, &said, 1).await[0].body == long);
    let response = fixture.database.column("select response from processed_messages").await;
    assert!(response == [Some(long)]);
}

#[apply(both!)]
async fn what_a_worker_may_not_say_ends_its_stream(backend: Backend) {
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
    for (request, field, why) in first {
        let worker = Worker::open(fixture.chat).await;
        worker.say(request).await;
        let refused = worker.refused().await;
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, why));
        assert_eq!(bad_fields(&refused), [field]);
    }
    let then = [
        (Request::Attend(attend("a")), "attend", "ATTEND_TWICE"),
        (Request::Answer(answer("x")), "answer.delivery_id", "DELIVERY_ID_INVALID"),
    ];
    for (request, field, why) in then {
        let worker = Worker::attend(fixture.chat, "a").await;
        worker.say(request).await;
        let refused = worker.refused().await;
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, why));
        assert_eq!(bad_fields(&refused), [field]);
    }
}
