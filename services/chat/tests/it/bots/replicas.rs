//! Many workers at two replicas.

use std::collections::HashMap;

use api::chat::v1::{chat_service_client::ChatServiceClient, work_request::Attend};
use testing::{Backend, apply, both, channel, eventually};

use super::{Worker, assigned_bot, messages, open_deliveries};
use crate::fixture::{Fixture, message};

const SENDERS: usize = 4;
const EACH: usize = 50;

#[apply(both!)]
async fn every_bot_answers_every_message_once(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let replicas = [fixture.chat, fixture.replica().await];
    let chats = [fixture.chat("a").await, fixture.chat("b").await];
    for chat in &chats {
        assigned_bot(&fixture, chat, "one").await;
        assigned_bot(&fixture, chat, "two").await;
    }
    for address in replicas {
        for kind in ["one", "two", "one", "two"] {
            let attend = Attend { r#type: kind.into(), concurrency: 4, ..Attend::default() };
            tokio::spawn(Worker::attend_with(address, attend).await.echo());
        }
    }
    // A worker that disconnects again and again while it holds deliveries.
    let disconnecting = tokio::spawn(async move {
        loop {
            let attend = Attend { r#type: "one".into(), concurrency: 3, ..Attend::default() };
            let mut worker = Worker::attend_with(replicas[1], attend).await;
            worker.next().await;
        }
    });
    let senders = (0..SENDERS).map(|sender| {
        let mut client = ChatServiceClient::new(channel(replicas[sender % 2]));
        let chat = chats[sender / 2].clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                client.send_message(message(&chat, &format!("{sender} {n}"))).await.unwrap();
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    for sender in senders {
        sender.await.unwrap();
    }
    disconnecting.abort();
    eventually("every delivery is answered", async || {
        let done = fixture.database.column("select count(*) from processed_messages").await;
        let all = (SENDERS * EACH * 2).to_string();
        (done == [Some(all)]).then_some(())
    })
    .await;
    assert_eq!(open_deliveries(&fixture).await, "0");
    let mut replies: HashMap<(String, String), usize> = HashMap::new();
    for chat in &chats {
        let all = messages(&fixture, chat).await;
        assert_eq!(all.len(), SENDERS / 2 * EACH * 3);
        for reply in all.into_iter().filter(|message| !message.reply_to.is_empty()) {
            *replies.entry((reply.reply_to, reply.sender)).or_default() += 1;
        }
    }
    assert_eq!(replies.len(), SENDERS * EACH * 2);
    assert!(replies.values().all(|count| *count == 1));
}
