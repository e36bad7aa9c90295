//! Every acknowledged message is stored once, as it was sent, and every subscriber received each
//! stored message once, in order.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use api::chat::v1::{SubscribeRequest, chat_service_client::ChatServiceClient};
use uuid::Uuid;

use super::{Known, Subscriber, Violations, WriterReport};
use crate::soak::{replicas::Replicas, stored::Row, writers::Acknowledged};

const CURSORS_PER_WRITER: usize = 10;

/// Compares the stored messages with those of the writers.
pub fn stored(known: Known<'_>, written: &[WriterReport], violations: &mut Violations) {
    let Known { setup, stored, .. } = known;
    let mut rows: HashMap<Uuid, &Row> = HashMap::new();
    for row in &stored.messages {
        violations.unless(rows.insert(row.id, row).is_none(), "a message is stored twice", row.id);
    }
    let mut acknowledged = HashSet::new();
    for written in written {
        let mut last = 0;
        for sent in &written.acknowledged {
            acknowledged.insert(sent.id);
            let Some(row) = rows.get(&sent.id) else {
                violations.add("an acknowledged message is not stored", sent.id);
                continue;
            };
            let same =
                (&row.chat, &row.body, &row.sender) == (&sent.chat, &sent.body, &sent.sender);
            violations.unless(
                same,
                "an acknowledged message is stored with other content",
                sent.id,
            );
            violations.unless(
                row.position > last,
                "a message has a lower position than one that was acknowledged before it was sent",
                sent.id,
            );
            last = row.position;
        }
    }
    for row in &stored.messages {
        let known = acknowledged.contains(&row.id)
            || row.id.to_string() == setup.first.id
            || row.run.is_some()
            || setup.bots.iter().any(|bot| bot.id == row.sender);
        let what = "a stored message was never sent or never acknowledged";
        violations.unless(known, what, format!("{} of {}", row.id, row.sender));
    }
}

/// Compares the stored messages with those that the subscribers received.
pub fn seen(known: Known<'_>, subscribers: &[Arc<Subscriber>], violations: &mut Violations) {
    let Known { stored, settled, .. } = known;
    for (number, subscriber) in subscribers.iter().enumerate() {
        let of_it = |row: &&Row| {
            row.position > settled.after
                && subscriber.chat.as_ref().is_none_or(|chat| *chat == row.chat)
        };
        let all: Vec<&Row> = stored.messages.iter().filter(of_it).collect();
        let seen: Vec<Uuid> = subscriber.seen.lock().unwrap().iter().map(|seen| seen.id).collect();
        let mut once = HashSet::new();
        for id in &seen {
            let what = "a subscriber received a message twice";
            violations.unless(once.insert(*id), what, format!("{number}: {id}"));
        }
        for row in all.iter().filter(|row| row.position <= settled.upto) {
            let what = "a subscriber did not receive a message";
            violations.unless(once.contains(&row.id), what, format!("{number}: {}", row.id));
        }
        // Later messages may or may not have been received.
        let in_order = seen.iter().zip(&all).position(|(seen, row)| *seen != row.id);
        if let Some(at) = in_order {
            let what = "a subscriber received messages out of order";
            violations.add(what, format!("{number}: {} at {at}", seen[at]));
        }
        let more = seen.len() > all.len();
        violations.unless(!more, "a subscriber received a message that is not stored", number);
    }
}

/// A subscription from the cursor that a writer got starts with the next message.
pub async fn cursors(known: Known<'_>, written: &[WriterReport], violations: &mut Violations) {
    let Known { setup, stored, settled } = known;
    let next: HashMap<Uuid, Uuid> =
        stored.messages.windows(2).map(|two| (two[0].id, two[1].id)).collect();
    let mut replicas = Replicas::new(&setup.addresses, 0);
    let settled = stored.messages.iter().filter(|row| row.position < settled.upto);
    let settled: HashSet<Uuid> = settled.map(|row| row.id).collect();
    for written in written {
        let all: Vec<&Acknowledged> =
            written.acknowledged.iter().filter(|sent| settled.contains(&sent.id)).collect();
        for sent in all.iter().step_by(all.len() / CURSORS_PER_WRITER + 1) {
            let request = SubscribeRequest { chat_id: String::new(), after: sent.cursor.clone() };
            let mut client = ChatServiceClient::new(replicas.current());
            let mut stream = client.subscribe(request).await.unwrap().into_inner();
            let received = stream.message().await.unwrap().unwrap().message.unwrap();
            let what = "a subscription from a cursor did not start with the next message";
            let expected = next[&sent.id].to_string();
            violations.unless(
                received.id == expected,
                what,
                format!("{}: {}", sent.id, received.id),
            );
            replicas.switch_to_next();
        }
    }
}
