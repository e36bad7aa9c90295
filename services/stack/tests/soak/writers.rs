//! Writers: each sends one message after the other, with an id of its own, until it is told that it
//! is stored.

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
    replicas::{Replicas, told},
    stage::Stage,
};

/// How many there are.
pub const COUNT: usize = 8;

/// How often each of them sends, at most.
const PACE: Duration = Duration::from_millis(40);

/// What the first bot fails at, whatever it is asked.
pub const POISON: &str = "poison";

/// What a writer came to.
#[derive(Default)]
pub struct Written {
    /// In the order in which they were sent.
    pub acknowledged: Vec<Acknowledged>,
    /// Messages that were sent again after they were acknowledged.
    pub repeated: usize,
    pub retries: BTreeMap<String, usize>,
    pub faults: Vec<String>,
}

/// A message of which it was said that it is stored.
pub struct Acknowledged {
    pub id: Uuid,
    pub chat: String,
    pub sender: String,
    pub body: String,
    pub cursor: String,
    /// When it was first sent.
    pub sent: SystemTime,
    /// When that was said.
    pub at: SystemTime,
}

/// Sends until the load stops, the message in hand included.
pub async fn write(stage: Arc<Stage>, number: usize) -> Written {
    let mut random = stage.random("writer", number);
    let mut replicas = Replicas::new(&stage.addresses, number);
    let mut written = Written::default();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stage.stopping.run_until_cancelled(pace.tick()).await.is_some() {
        let request = compose(&stage, &mut random, number);
        let sent = SystemTime::now();
        let answer = send(&mut replicas, &request).await;
        let at = SystemTime::now();
        let message = match answer {
            Ok(message) => message,
            Err(refused) => {
                written.faults.push(refused);
                continue;
            }
        };
        if random.random_ratio(1, 50) {
            replicas.elsewhere();
            written.repeated += 1;
            match send(&mut replicas, &request).await {
                Ok(again) if again == message => {}
                Ok(again) => written.faults.push(format!("{message:?}, and again {again:?}")),
                Err(refused) => written.faults.push(refused),
            }
        }
        written.acknowledged.push(Acknowledged {
            id: request.id.parse().unwrap(),
            chat: request.chat_id,
            sender: request.sender,
            body: request.body,
            cursor: message.cursor,
            sent,
            at,
        });
        if random.random_ratio(1, 4) {
            replicas.elsewhere();
        }
    }
    written.retries = replicas.retries;
    written
}

/// A message whose text is like no other.
fn compose(stage: &Stage, random: &mut StdRng, number: usize) -> SendMessageRequest {
    let id = Builder::from_random_bytes(random.random()).into_uuid();
    let words = "word ".repeat(random.random_range(0..40));
    let end = if random.random_ratio(1, 400) { POISON } else { "." };
    SendMessageRequest {
        chat_id: stage.chats.choose(random).unwrap().clone(),
        id: id.to_string(),
        sender: format!("writer-{number}"),
        body: format!("{id} {words}{end}"),
        ..SendMessageRequest::default()
    }
}

async fn send(replicas: &mut Replicas, request: &SendMessageRequest) -> Result<Message, String> {
    let call = async |channel| ChatServiceClient::new(channel).send_message(request.clone()).await;
    let answer = replicas
        .insist(call)
        .await
        .map_err(|status| format!("{}: {}: {status:?}", request.id, told(&status)))?;
    Ok(answer.message.unwrap())
}
