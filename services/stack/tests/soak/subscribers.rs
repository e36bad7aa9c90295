//! Subscribers: each goes on from its cursor, at another replica, whenever its stream breaks.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use api::chat::v1::{SubscribeRequest, chat_service_client::ChatServiceClient};
use tokio::time::sleep;
use tonic::Status;
use uuid::Uuid;

use super::{
    replicas::{PAUSE, Replicas, passes, told},
    stage::Stage,
};

/// Of all chats.
const OF_ALL: usize = 4;

/// Of one chat each: of the first ones, where the bots are too.
const OF_ONE: usize = 4;

/// One subscriber, and what it saw.
#[derive(Default)]
pub struct Subscriber {
    /// Its chat; none for all of them.
    pub chat: Option<String>,
    pub seen: Mutex<Vec<Seen>>,
    /// How often it went on elsewhere.
    pub resumed: AtomicUsize,
    pub faults: Mutex<Vec<String>>,
}

/// A message, and when it came.
#[derive(Clone, Copy)]
pub struct Seen {
    pub id: Uuid,
    pub at: SystemTime,
}

impl Subscriber {
    /// All of them.
    pub fn all(stage: &Stage) -> Vec<Arc<Self>> {
        let of_one = stage.chats[..OF_ONE].iter().cloned().map(Some);
        let chats = std::iter::repeat_n(None, OF_ALL).chain(of_one);
        chats.map(|chat| Arc::new(Self { chat, ..Self::default() })).collect()
    }

    /// Listens to the end.
    pub async fn listen(self: Arc<Self>, stage: Arc<Stage>, number: usize) {
        let mut replicas = Replicas::new(&stage.addresses, number);
        let mut cursor = stage.first.cursor.clone();
        let going_on = async {
            loop {
                if let Err(status) = self.follow(&replicas, &mut cursor).await
                    && !passes(&status)
                {
                    self.faults.lock().unwrap().push(told(&status));
                }
                self.resumed.fetch_add(1, Ordering::Relaxed);
                replicas.elsewhere();
                sleep(PAUSE).await;
            }
        };
        stage.ending.run_until_cancelled(going_on).await;
    }

    /// Takes what comes, until the stream breaks.
    async fn follow(&self, replicas: &Replicas, cursor: &mut String) -> Result<(), Status> {
        let request = SubscribeRequest {
            chat_id: self.chat.clone().unwrap_or_default(),
            after: cursor.clone(),
        };
        let mut client = ChatServiceClient::new(replicas.here());
        let mut stream = client.subscribe(request).await?.into_inner();
        while let Some(next) = stream.message().await? {
            let message = next.message.unwrap();
            let seen = Seen { id: message.id.parse().unwrap(), at: SystemTime::now() };
            self.seen.lock().unwrap().push(seen);
            *cursor = message.cursor;
        }
        Ok(())
    }
}
