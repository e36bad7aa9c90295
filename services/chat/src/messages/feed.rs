//! The feed: one reader of the database that passes new messages to all subscriptions of this
//! process.
//!
//! It reads while there are subscriptions, on each wake-up of the bus and at an interval. A
//! subscription that falls behind the few buffered messages reads the database itself.

use std::{collections::HashMap, sync::Arc, time::Duration};

use database::Connection;
use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{Notify, Semaphore, broadcast},
    time::sleep,
};

use crate::{bus::WakeUps, error::Error, models::message::Message, store::Store};

/// How often the database is read without a wake-up: the cost of a lost one.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Messages of one read.
const PAGE_SIZE: usize = 256;
/// Messages buffered for the subscriptions to all chats.
const ALL_CHATS_BUFFER: usize = 1_024;
/// Messages buffered for the subscriptions to one chat.
const CHAT_BUFFER: usize = 32;
/// Subscriptions that read the database themselves at the same time.
const MAX_CONCURRENT_READS: usize = 4;

/// The feed of this process. Clones share it.
#[derive(Clone)]
pub(crate) struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    state: Mutex<State>,
    /// Wakes the reader for the first subscription.
    subscribed: Notify,
    reads: Semaphore,
}

struct State {
    /// The position up to which messages were passed on; `None` without receivers.
    head: Option<i64>,
    receivers: usize,
    all_chats: Sender,
    chats: HashMap<String, Sender>,
}

type Sender = broadcast::Sender<Arc<Message>>;

impl Feed {
    pub(crate) fn new(store: Store) -> Self {
        let state = State {
            head: None,
            receivers: 0,
            all_chats: broadcast::Sender::new(ALL_CHATS_BUFFER),
            chats: HashMap::new(),
        };
        let inner = Inner {
            store,
            state: Mutex::new(state),
            subscribed: Notify::new(),
            reads: Semaphore::new(MAX_CONCURRENT_READS),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Passes on new messages until it is aborted.
    pub(crate) async fn run(self, mut wake_ups: WakeUps) {
        loop {
            tokio::select! {
                () = wake_ups.recv() => {}
                () = self.inner.subscribed.notified() => {}
                () = sleep(POLL_INTERVAL) => {}
            }
            if let Err(error) = self.pass_on_new().await {
                self.inner.store.invalidate_on(&error);
                // Logged as the error of a call would be.
                let _ = error.into_problem();
                sleep(POLL_INTERVAL).await;
            }
        }
    }

    async fn pass_on_new(&self) -> Result<(), Error> {
        while let Some(head) = self.head() {
            let mut connection = self.inner.store.connection().await?;
            let messages = Message::after(&mut connection, None, head, PAGE_SIZE).await?;
            drop(connection);
            let is_last_page = messages.len() < PAGE_SIZE;
            self.state().pass_on(head, messages);
            if is_last_page {
                break;
            }
        }
        Ok(())
    }

    /// Subscribes to one chat or to all. The receiver gets every message that a reader of the
    /// database cannot see yet when this returns.
    pub(crate) async fn subscribe(&self, chat_id: Option<&str>) -> Result<FeedReceiver, Error> {
        let (receiver, head) = self.add_receiver(chat_id);
        if head.is_none() {
            let newest = Message::newest_position(&mut self.connection().await?).await?;
            self.state().head.get_or_insert(newest);
            // The wake-up of a message stored since then found no head to read after.
            self.inner.subscribed.notify_one();
        }
        Ok(receiver)
    }

    fn add_receiver(&self, chat_id: Option<&str>) -> (FeedReceiver, Option<i64>) {
        let mut state = self.state();
        state.receivers += 1;
        let messages = match chat_id {
            None => state.all_chats.subscribe(),
            Some(chat_id) => state
                .chats
                .entry(chat_id.to_owned())
                .or_insert_with(|| broadcast::Sender::new(CHAT_BUFFER))
                .subscribe(),
        };
        let chat_id = chat_id.map(ToOwned::to_owned);
        let receiver = FeedReceiver { feed: self.clone(), chat_id, messages };
        (receiver, state.head)
    }

    /// Reads at most `limit` messages after a position from the database. Waits while
    /// [`MAX_CONCURRENT_READS`] are in progress.
    pub(crate) async fn read_page(
        &self,
        chat_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Message>, Error> {
        // The semaphore is never closed.
        let _permit = self.inner.reads.acquire().await;
        Ok(Message::after(&mut self.connection().await?, chat_id, after, limit).await?)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    async fn connection(&self) -> Result<Connection, Error> {
        self.inner.store.connection().await
    }

    fn head(&self) -> Option<i64> {
        self.state().head
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock()
    }
}

impl State {
    /// Passes on the messages after `head`, unless the feed was reset since they were read.
    fn pass_on(&mut self, head: i64, messages: Vec<Message>) {
        if self.head != Some(head) {
            return;
        }
        for message in messages {
            self.head = Some(message.position);
            let message = Arc::new(message);
            // Sending fails without receivers, which is not a fault.
            if let Some(chat) = self.chats.get(&message.chat_id) {
                let _ = chat.send(Arc::clone(&message));
            }
            let _ = self.all_chats.send(message);
        }
    }
}

/// Receives new messages until it is dropped.
pub(crate) struct FeedReceiver {
    feed: Feed,
    chat_id: Option<String>,
    messages: broadcast::Receiver<Arc<Message>>,
}

impl FeedReceiver {
    /// The next message; `None` if some were dropped from the buffer and must be read from the
    /// database.
    pub(crate) async fn recv(&mut self) -> Option<Arc<Message>> {
        // `Closed` cannot happen: `self` keeps the feed and so the sender.
        self.messages.recv().await.ok()
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The chat that it is subscribed to; `None` for all.
    pub(crate) fn chat_id(&self) -> Option<&str> {
        self.chat_id.as_deref()
    }
}

impl Drop for FeedReceiver {
    fn drop(&mut self) {
        let mut state = self.feed.inner.state.lock();
        state.receivers -= 1;
        if state.receivers == 0 {
            state.head = None;
        }
        if let Some(chat_id) = &self.chat_id
            // This receiver still counts.
            && state.chats.get(chat_id).is_some_and(|chat| chat.receiver_count() <= 1)
        {
            state.chats.remove(chat_id);
        }
    }
}
