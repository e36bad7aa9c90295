//! Failed attempts: tried again with a delay, and parked when there were too many.

use std::num::NonZeroU32;

use api::chat::v1::{ListParkedDeliveriesRequest, RetryDeliveryRequest, work_request::Attend};
use testing::{Backend, apply, both, eventually, reason};

use super::{Worker, assigned_bot, body_of, client, messages, parked, replies};
use crate::{fixture::Fixture, order::Holder};

#[apply(both!)]
async fn an_expired_lease_goes_to_another_worker(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let lease = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let attend = Attend { r#type: "echo".into(), lease, ..Attend::default() };
    let mut slow = Worker::attend_with(fixture.chat, attend).await;
    let message = fixture.say(&chat, "hello").await;
    let first = slow.next().await;
    let mut other = Worker::attend(fixture.chat, "echo").await;
    let second = other.next().await;
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(first.message, second.message);
    // The late answer has no effect.
    slow.reply(&first, "late").await;
    fixture.say(&chat, "next").await;
    let next = slow.next().await;
    slow.reply(&next, "").await;
    other.reply(&second, "in time").await;
    assert_eq!(replies(&fixture, &message, 1).await[0].body, "in time");
    assert_eq!(messages(&fixture, &chat).await.len(), 3);
}

#[apply(both!)]
async fn a_failing_delivery_is_tried_again_and_parked(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut config = fixture.config();
    config.limits.bot_failures = const { NonZeroU32::new(2).unwrap() };
    let replica = fixture.replica_with(config).await;
    let chat = fixture.chat("a").await;
    let echo = assigned_bot(&fixture, &chat, "echo").await;
    let other = assigned_bot(&fixture, &chat, "other").await;
    let mut worker = Worker::attend(replica, "echo").await;
    let message = fixture.say(&chat, "hello").await;
    let first = worker.next().await;
    worker.fail(&first, "no\0 model").await;
    assert!(parked(&fixture).await.is_empty());
    let second = worker.next().await;
    assert_eq!(second.attempt, 2);
    // An invalid reply fails the attempt and does not end the stream.
    worker.reply(&second, &"x".repeat(64 * 1024 + 1)).await;
    let listed = eventually("the delivery is parked", async || parked(&fixture).await.pop()).await;
    assert_eq!((&listed.message_id, &listed.bot_id), (&message.id, &echo.id));
    assert_eq!((&listed.chat_id, listed.attempts, listed.failures), (&chat, 2, 2));
    assert_eq!(listed.last_error, "reply: longer than 65536 bytes");
    // A parked delivery is not leased, even when its delay is over.
    fixture.database.execute("update bot_deliveries set available_at = created_at").await;
    fixture.say(&chat, "next").await;
    worker.skip("next").await;

    let mut client = client(fixture.chat);
    for (bot_id, chat_id, count) in
        [(&echo.id, &String::new(), 1), (&other.id, &chat, 0), (&String::new(), &chat, 1)]
    {
        let request = ListParkedDeliveriesRequest {
            bot_id: bot_id.clone(),
            chat_id: chat_id.clone(),
            ..Default::default()
        };
        let listed = client.list_parked_deliveries(request).await.unwrap().into_inner();
        assert_eq!(listed.deliveries.len(), count);
    }
    let request = RetryDeliveryRequest { message_id: message.id.clone(), bot_id: echo.id.clone() };
    client.retry_delivery(request.clone()).await.unwrap();
    assert!(client.retry_delivery(request).await.is_err());
    let third = worker.next().await;
    worker.fail(&third, "once more").await;
    // RetryDelivery reset the failures: one more does not park it.
    let fourth = worker.next().await;
    worker.reply(&fourth, "at last").await;
    assert_eq!(replies(&fixture, &message, 1).await[0].body, "at last");
    assert!(parked(&fixture).await.is_empty());
}

#[apply(both!)]
async fn parked_deliveries_are_listed_in_pages(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let echo = assigned_bot(&fixture, &chat, "echo").await;
    let mut sent = Vec::new();
    for n in 0..5 {
        sent.push(fixture.say(&chat, &n.to_string()).await.id);
    }
    let all = "select count(*) from bot_deliveries";
    eventually("the deliveries exist", async || {
        (fixture.database.column(all).await == [Some("5".into())]).then_some(())
    })
    .await;
    let park = "update bot_deliveries set parked_at = created_at, failures = 5";
    fixture.database.execute(park).await;
    let mut request =
        ListParkedDeliveriesRequest { page_size: 2, bot_id: echo.id, ..Default::default() };
    let mut listed = Vec::new();
    loop {
        let page = client(fixture.chat).list_parked_deliveries(request.clone()).await.unwrap();
        let page = page.into_inner();
        listed.extend(page.deliveries.into_iter().map(|delivery| delivery.message_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, sent);
}

#[apply(both!)]
async fn a_disconnecting_worker_fails_its_deliveries(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let mut first = Worker::attend(fixture.chat, "echo").await;
    let message = fixture.say(&chat, "hello").await;
    let delivery = first.next().await;
    drop(first);
    // Long before the lease expires.
    let mut second = Worker::attend(fixture.chat, "echo").await;
    let again = second.next().await;
    assert_eq!((again.attempt, &again.message), (2, &delivery.message));
    let failures = "select failures from bot_deliveries";
    assert_eq!(fixture.database.column(failures).await, [Some("1".into())]);
    second.reply(&again, "hi").await;
    replies(&fixture, &message, 1).await;
}

/// Another transaction locks the chat's row while the reply is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_waits_for_its_locked_chat() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    let (locked, free) = (fixture.chat("locked").await, fixture.chat("free").await);
    assigned_bot(&fixture, &locked, "echo").await;
    assigned_bot(&fixture, &free, "echo").await;
    let attend = Attend { r#type: "echo".into(), concurrency: 2, ..Attend::default() };
    let mut worker = Worker::attend_with(fixture.chat, attend).await;
    let waits = fixture.say(&locked, "waits").await;
    let passes = fixture.say(&free, "passes").await;
    let (first, second) = (worker.next().await, worker.next().await);
    assert_eq!((body_of(&first), body_of(&second)), ("waits", "passes"));
    let mut holder = Holder::open(&fixture.database).await;
    holder.run(&format!("begin; update chats set name = 'x' where id = '{locked}'")).await;
    worker.reply(&first, "first").await;
    worker.reply(&second, "second").await;
    // The second answer was sent after the first one.
    assert_eq!(replies(&fixture, &passes, 1).await[0].body, "second");
    assert_eq!(messages(&fixture, &locked).await.len(), 1);
    holder.run("commit").await;
    assert_eq!(replies(&fixture, &waits, 1).await[0].body, "first");
}

/// An expired lease counts no longer towards the concurrency.
#[apply(both!)]
async fn an_unanswered_delivery_does_not_block_its_worker(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let lease = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let attend = Attend { r#type: "echo".into(), lease, ..Attend::default() };
    let mut worker = Worker::attend_with(fixture.chat, attend).await;
    let message = fixture.say(&chat, "hello").await;
    let unanswered = worker.next().await;
    let again = worker.next().await;
    assert_eq!((unanswered.attempt, again.attempt), (1, 2));
    worker.reply(&again, "oh").await;
    assert_eq!(replies(&fixture, &message, 1).await[0].body, "oh");
}

/// A request that exceeds the size limit ends the stream with a reason.
#[apply(both!)]
async fn an_answer_that_is_too_large_ends_the_stream(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    assigned_bot(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "hello").await;
    let delivery = worker.next().await;
    worker.reply(&delivery, &"x".repeat(5 * 1024 * 1024)).await;
    assert_eq!(reason(&worker.status().await), "MESSAGE_TOO_LARGE");
    let mut other = Worker::attend(fixture.chat, "echo").await;
    assert_eq!(other.next().await.attempt, 2);
}
