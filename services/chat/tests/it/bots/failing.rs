//! Failures: tried again, later, and parked when there were too many.

use std::num::NonZeroU32;

use api::chat::v1::{ListParkedDeliveriesRequest, RetryDeliveryRequest, work_request::Attend};
use testing::{Backend, apply, both, eventually, reason};

use super::{Worker, client, messages, parked, replies, sitting};
use crate::{fixture::Fixture, order::Holder};

#[apply(both!)]
async fn a_lease_that_runs_out_goes_to_another_worker(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let lease = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let attend = Attend { r#type: "echo".into(), lease, ..Attend::default() };
    let mut slow = Worker::attend_as(fixture.chat, attend).await;
    let said = fixture.say(&chat, "hello").await;
    let first = slow.next().await;
    let mut other = Worker::attend(fixture.chat, "echo").await;
    let second = other.next().await;
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(first.message, second.message);
    // It comes late, and ends nothing.
    slow.reply(&first, "late").await;
    fixture.say(&chat, "next").await;
    let next = slow.next().await;
    slow.reply(&next, "").await;
    other.reply(&second, "in time").await;
    assert_eq!(replies(&fixture, &said, 1).await[0].body, "in time");
    assert_eq!(messages(&fixture, &chat).await.len(), 3);
}

#[apply(both!)]
async fn an_error_is_tried_again_and_parked_in_the_end(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut config = fixture.config();
    config.limits.bot_failures = const { NonZeroU32::new(2).unwrap() };
    let replica = fixture.replica_with(config).await;
    let chat = fixture.chat("a").await;
    let echo = sitting(&fixture, &chat, "echo").await;
    let other = sitting(&fixture, &chat, "other").await;
    let mut worker = Worker::attend(replica, "echo").await;
    let said = fixture.say(&chat, "hello").await;
    let first = worker.next().await;
    worker.fail(&first, "no\0 model").await;
    assert!(parked(&fixture).await.is_empty());
    let second = worker.next().await;
    assert_eq!(second.attempt, 2);
    // What cannot be said is a failure of the delivery's, not the end of the stream.
    worker.reply(&second, &"x".repeat(64 * 1024 + 1)).await;
    let listed = eventually("it is parked", async || parked(&fixture).await.pop()).await;
    assert_eq!((&listed.message_id, &listed.bot_id), (&said.id, &echo.id));
    assert_eq!((&listed.chat_id, listed.attempts, listed.failures), (&chat, 2, 2));
    assert_eq!(listed.last_error, "reply: longer than 65536 bytes");
    worker.is_idle().await;

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
    let request = RetryDeliveryRequest { message_id: said.id.clone(), bot_id: echo.id.clone() };
    client.retry_delivery(request.clone()).await.unwrap();
    assert!(client.retry_delivery(request).await.is_err());
    let third = worker.next().await;
    worker.fail(&third, "once more").await;
    // As if it had never failed: one is not too many.
    let fourth = worker.next().await;
    worker.reply(&fourth, "at last").await;
    assert_eq!(replies(&fixture, &said, 1).await[0].body, "at last");
    assert!(parked(&fixture).await.is_empty());
}

#[apply(both!)]
async fn parked_deliveries_are_listed_page_by_page(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let echo = sitting(&fixture, &chat, "echo").await;
    let mut said = Vec::new();
    for n in 0..5 {
        said.push(fixture.say(&chat, &n.to_string()).await.id);
    }
    let all = "select count(*) from bot_deliveries";
    eventually("all are made", async || {
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
    assert_eq!(listed, said);
}

#[apply(both!)]
async fn whoever_hangs_up_fails_what_it_holds(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let mut first = Worker::attend(fixture.chat, "echo").await;
    let said = fixture.say(&chat, "hello").await;
    let told = first.next().await;
    drop(first);
    // Long before its lease is over.
    let mut second = Worker::attend(fixture.chat, "echo").await;
    let again = second.next().await;
    assert_eq!((again.attempt, &again.message), (2, &told.message));
    let failures = "select failures from bot_deliveries";
    assert_eq!(fixture.database.column(failures).await, [Some("1".into())]);
    second.reply(&again, "hi").await;
    replies(&fixture, &said, 1).await;
}

/// The chat's row is held for a moment, as a long transaction elsewhere does.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_its_chat() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    let said = fixture.say(&chat, "hello").await;
    let told = worker.next().await;
    let mut holder = Holder::open(&fixture.database).await;
    holder.run("begin; update chats set name = 'x'").await;
    worker.reply(&told, "patient").await;
    worker.is_idle().await;
    assert_eq!(messages(&fixture, &chat).await.len(), 1);
    holder.run("commit").await;
    assert_eq!(replies(&fixture, &said, 1).await[0].body, "patient");
}

/// What a worker says nothing of takes no place in its hand for ever.
#[apply(both!)]
async fn a_worker_that_forgets_a_delivery_goes_on(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let lease = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let attend = Attend { r#type: "echo".into(), lease, ..Attend::default() };
    let mut worker = Worker::attend_as(fixture.chat, attend).await;
    let said = fixture.say(&chat, "hello").await;
    let forgotten = worker.next().await;
    let again = worker.next().await;
    assert_eq!((forgotten.attempt, again.attempt), (1, 2));
    worker.reply(&again, "oh").await;
    assert_eq!(replies(&fixture, &said, 1).await[0].body, "oh");
}

/// A request that no server of ours reads ends the stream, and says why.
#[apply(both!)]
async fn an_answer_beyond_all_bounds_is_told_so(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    sitting(&fixture, &chat, "echo").await;
    let mut worker = Worker::attend(fixture.chat, "echo").await;
    fixture.say(&chat, "hello").await;
    let told = worker.next().await;
    worker.reply(&told, &"x".repeat(5 * 1024 * 1024)).await;
    assert_eq!(reason(&worker.refused().await), "MESSAGE_TOO_LARGE");
    let mut other = Worker::attend(fixture.chat, "echo").await;
    assert_eq!(other.next().await.attempt, 2);
}
