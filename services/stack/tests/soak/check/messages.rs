//! Every message that was acknowledged is there, once, as it was sent; and every subscriber saw what
//! is there, once, in the order stored.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use api::chat::v1::{SubscribeRequest, chat_service_client::ChatServiceClient};
use uuid::Uuid;

use super::{Faults, Known, Subscriber, Written};
use crate::soak::{replicas::Replicas, stored::Row, writers::Acknowledged};

/// Of each writer's cursors.
const TRIED: usize = 10;

/// Of writers.
pub fn stored(known: Known<'_>, written: &[Written], faults: &mut Faults) {
    let Known { stage, stored, .. } = known;
    let mut rows: HashMap<Uuid, &Row> = HashMap::new();
    for row in &stored.messages {
        faults.unless(rows.insert(row.id, row).is_none(), "a message is stored twice", row.id);
    }
    let mut told = HashSet::new();
    for written in written {
        let mut last = 0;
        for sent in &written.acknowledged {
            told.insert(sent.id);
            let Some(row) = rows.get(&sent.id) else {
                faults.add("an acknowledged message is not stored", sent.id);
                continue;
            };
            let same =
                (&row.chat, &row.body, &row.sender) == (&sent.chat, &sent.body, &sent.sender);
            faults.unless(same, "an acknowledged message is stored otherwise", sent.id);
            faults.unless(
                row.position > last,
                "a message stands before one that was acknowledged before it was sent",
                sent.id,
            );
            last = row.position;
        }
    }
    for row in &stored.messages {
        let known = told.contains(&row.id)
            || row.id.to_string() == stage.first.id
            || row.run.is_some()
            || stage.bots.iter().any(|bot| bot.id == row.sender);
        let what = "a message is stored that nobody sent, or of which nobody was told";
        faults.unless(known, what, format!("{} of {}", row.id, row.sender));
    }
}

/// By subscribers.
pub fn seen(known: Known<'_>, subscribers: &[Arc<Subscriber>], faults: &mut Faults) {
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
            let what = "a subscriber saw a message twice";
            faults.unless(once.insert(*id), what, format!("{number}: {id}"));
        }
        for row in all.iter().filter(|row| row.position <= settled.upto) {
            let what = "a subscriber did not see a message";
            faults.unless(once.contains(&row.id), what, format!("{number}: {}", row.id));
        }
        // What came when all was settled may have been seen, or not any more.
        let in_order = seen.iter().zip(&all).position(|(seen, row)| *seen != row.id);
        if let Some(at) = in_order {
            let what = "a subscriber saw another order than the one stored";
            faults.add(what, format!("{number}: {} at {at}", seen[at]));
        }
        let more = seen.len() > all.len();
        faults.unless(!more, "a subscriber saw what is not stored", number);
    }
}

/// Whoever goes on behind a message by the cursor that its sender was told hears the next one.
pub async fn cursors(known: Known<'_>, written: &[Written], faults: &mut Faults) {
    let Known { stage, stored, settled } = known;
    let next: HashMap<Uuid, Uuid> =
        stored.messages.windows(2).map(|two| (two[0].id, two[1].id)).collect();
    let mut replicas = Replicas::new(&stage.addresses, 0);
    let settled = stored.messages.iter().filter(|row| row.position < settled.upto);
    let settled: HashSet<Uuid> = settled.map(|row| row.id).collect();
    for written in written {
        let all: Vec<&Acknowledged> =
            written.acknowledged.iter().filter(|sent| settled.contains(&sent.id)).collect();
        for sent in all.iter().step_by(all.len() / TRIED + 1) {
            let request = SubscribeRequest { chat_id: String::new(), after: sent.cursor.clone() };
            let mut client = ChatServiceClient::new(replicas.here());
            let mut stream = client.subscribe(request).await.unwrap().into_inner();
            let heard = stream.message().await.unwrap().unwrap().message.unwrap();
            let what = "behind a message's cursor comes another message than the next";
            let expected = next[&sent.id].to_string();
            faults.unless(heard.id == expected, what, format!("{}: {}", sent.id, heard.id));
            replicas.elsewhere();
        }
    }
}
