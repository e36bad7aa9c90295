//! Writers: each sends one message after the other, with an id of its own, and retries until the
//! message is acknowledged.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::chat::v1::{Message, SendMessageRequest, chat_service_client::ChatServiceClient};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::time::{MissedTickBehavior, interval};
use uuid::{Builder, Uuid};

use super::{
    replicas::{Replicas, describe},
    setup::Setup,
};

pub const WRITERS: usize = 8;

const SEND_INTERVAL: Duration = Duration::from_millis(40);

/// The end of a message at which the first bot always fails.
pub const POISON: &str = "poison";

/// What a writer sent.
#[derive(Default)]
pub struct WriterReport {
    /// In the order in which they were sent.
    pub acknowledged: Vec<Acknowledged>,
    /// Messages that were sent again after they were acknowledged.
    pub repeated: usize,
    pub retries: BTreeMap<String, usize>,
    pub faults: Vec<String>,
}

pub struct Acknowledged {
    pub id: Uuid,
    pub chat: String,
    pub sender: String,
    pub body: String,
    pub cursor: String,
    /// When it was first sent.
    pub sent_at: SystemTime,
    pub acknowledged_at: SystemTime,
}

/// Sends until the load stops, and finishes the message in progress.
pub async fn write(setup: Arc<Setup>, number: usize) -> WriterReport {
    let mut random = setup.random("writer", number);
    let mut replicas = Replicas::new(&setup.addresses, number);
    let mut written = WriterReport::default();
    let mut ticks = interval(SEND_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while setup.stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        let request = compose(&setup, &mut random, number);
        let sent_at = SystemTime::now();
        let answer = send(&mut replicas, &request).await;
        let acknowledged_at = SystemTime::now();
        let message = match answer {
            Ok(message) => message,
            Err(refused) => {
                written.faults.push(refused);
                continue;
            }
        };
        if random.random_ratio(1, 50) {
            replicas.switch_to_next();
            written.repeated += 1;
            match send(&mut replicas, &request).await {
                Ok(again) if again == message => {}
                Ok(again) => written.faults.push(format!("first {message:?}, then {again:?}")),
                Err(refused) => written.faults.push(refused),
            }
        }
        written.acknowledged.push(Acknowledged {
            id: request.id.parse().unwrap(),
            chat: request.chat_id,
            sender: request.sender,
            body: request.body,
            cursor: message.cursor,
            sent_at,
            acknowledged_at,
        });
        if random.random_ratio(1, 4) {
            replicas.switch_to_next();
        }
    }
    written.retries = replicas.retries;
    written
}

/// Composes a message with a unique text.
fn compose(setup: &Setup, random: &mut StdRng, number: usize) -> SendMessageRequest {
    let id = Builder::from_random_bytes(random.random()).into_uuid();
    let filler = "word ".repeat(random.random_range(0..40));
    let end = if random.random_ratio(1, 400) { POISON } else { "." };
    SendMessageRequest {
        chat_id: setup.chats.choose(random).unwrap().clone(),
        id: id.to_string(),
        sender: format!("writer-{number}"),
        body: format!("{id} {filler}{end}"),
        ..SendMessageRequest::default()
    }
}

async fn send(replicas: &mut Replicas, request: &SendMessageRequest) -> Result<Message, String> {
    let call = async |channel| ChatServiceClient::new(channel).send_message(request.clone()).await;
    let answer = replicas
        .call(call)
        .await
        .map_err(|status| format!("{}: {}: {status:?}", request.id, describe(&status)))?;
    Ok(answer.message.unwrap())
}
