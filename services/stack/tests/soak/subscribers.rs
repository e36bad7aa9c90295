//! Subscribers: each resumes from its cursor at the next replica when its stream breaks.

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
    replicas::{RETRY_DELAY, Replicas, describe, is_retryable},
    setup::Setup,
};

/// Subscribers of all chats.
const ALL_CHATS: usize = 4;

/// Subscribers of one chat each: of the first chats, which have the bots.
const SINGLE_CHAT: usize = 4;

/// A subscriber and the messages that it received.
#[derive(Default)]
pub struct Subscriber {
    /// None for all chats.
    pub chat: Option<String>,
    pub seen: Mutex<Vec<Seen>>,
    pub resumptions: AtomicUsize,
    pub faults: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
pub struct Seen {
    pub id: Uuid,
    pub at: SystemTime,
}

impl Subscriber {
    pub fn all(setup: &Setup) -> Vec<Arc<Self>> {
        let single = setup.chats[..SINGLE_CHAT].iter().cloned().map(Some);
        let chats = std::iter::repeat_n(None, ALL_CHATS).chain(single);
        chats.map(|chat| Arc::new(Self { chat, ..Self::default() })).collect()
    }

    /// Receives messages until the end.
    pub async fn listen(self: Arc<Self>, setup: Arc<Setup>, number: usize) {
        let mut replicas = Replicas::new(&setup.addresses, number);
        let mut cursor = setup.first.cursor.clone();
        let receiving = async {
            loop {
                if let Err(status) = self.follow(&replicas, &mut cursor).await
                    && !is_retryable(&status)
                {
                    self.faults.lock().unwrap().push(describe(&status));
                }
                self.resumptions.fetch_add(1, Ordering::Relaxed);
                replicas.switch_to_next();
                sleep(RETRY_DELAY).await;
            }
        };
        setup.ending.run_until_cancelled(receiving).await;
    }

    /// Receives messages until the stream breaks.
    async fn follow(&self, replicas: &Replicas, cursor: &mut String) -> Result<(), Status> {
        let request = SubscribeRequest {
            chat_id: self.chat.clone().unwrap_or_default(),
            after: cursor.clone(),
        };
        let mut client = ChatServiceClient::new(replicas.current());
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
