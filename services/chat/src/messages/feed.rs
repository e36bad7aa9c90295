//! The feed: one reader of the database that tells every subscriber here what was stored.
//!
//! It reads while somebody listens: when the bus tells it to, and at its own pace besides. What it reads
//! goes to all who listen, in order. Who falls behind the few messages that are kept for it reads
//! the database by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use database::Connection;
use tokio::{
    sync::{Notify, Semaphore, broadcast},
    time::sleep,
};

use crate::{bus::Ear, error::Error, models::message::Message, store::Store};

/// How often the database is read though the bus is silent: what lost news costs.
const PACE: Duration = Duration::from_secs(1);
/// Messages that are read at once.
const PAGE: usize = 256;
/// Messages that are kept for who listens to all chats, and to one.
const KEPT_OF_ALL: usize = 1_024;
const KEPT_OF_ONE: usize = 32;
/// Subscribers that read the database by themselves at once.
const READERS: usize = 4;

/// The feed of this process. Its clones are the same one.
#[derive(Clone)]
pub(crate) struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    state: Mutex<State>,
    joined: Notify,
    readers: Semaphore,
}

struct State {
    /// Everything up to here was told; none while nobody listens.
    head: Option<i64>,
    listeners: usize,
    all: Topic,
    chats: HashMap<String, Topic>,
}

type Topic = broadcast::Sender<Arc<Message>>;

impl Feed {
    pub(crate) fn new(store: Store) -> Self {
        let state = State {
            head: None,
            listeners: 0,
            all: broadcast::Sender::new(KEPT_OF_ALL),
            chats: HashMap::new(),
        };
        let inner = Inner {
            store,
            state: Mutex::new(state),
            joined: Notify::new(),
            readers: Semaphore::new(READERS),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Reads what it hears of, and tells it, for ever.
    pub(crate) async fn run(self, mut stored: Ear) {
        loop {
            tokio::select! {
                () = stored.heard() => {}
                () = self.inner.joined.notified() => {}
                // The bus may have lost news.
                () = sleep(PACE) => {}
            }
            if let Err(error) = self.read_on().await {
                self.inner.store.heed(&error);
                // Logged as any call's; the next look comes at the feed's own pace.
                let _ = error.into_problem();
                sleep(PACE).await;
            }
        }
    }

    async fn read_on(&self) -> Result<(), Error> {
        while let Some(head) = self.head() {
            let mut connection = self.inner.store.connection().await?;
            let messages = Message::after(&mut connection, None, head, PAGE).await?;
            drop(connection);
            let last = messages.len() < PAGE;
            self.state().tell(head, messages);
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Listens to a chat, or to all. Everything that a reader of the database cannot see yet when
    /// this returns will be told.
    pub(crate) async fn listen(&self, chat_id: Option<&str>) -> Result<Listener, Error> {
        let (listener, head) = self.join(chat_id);
        if head.is_none() {
            let newest = Message::newest(&mut self.connection().await?).await?;
            self.state().head.get_or_insert(newest);
            // What was stored since then was news to nobody.
            self.inner.joined.notify_one();
        }
        Ok(listener)
    }

    fn join(&self, chat_id: Option<&str>) -> (Listener, Option<i64>) {
        let mut state = self.state();
        state.listeners += 1;
        let messages = match chat_id {
            None => state.all.subscribe(),
            Some(chat_id) => state
                .chats
                .entry(chat_id.to_owned())
                .or_insert_with(|| broadcast::Sender::new(KEPT_OF_ONE))
                .subscribe(),
        };
        let listener =
            Listener { feed: self.clone(), chat_id: chat_id.map(ToOwned::to_owned), messages };
        (listener, state.head)
    }

    /// At most so many messages after a position, from the database; a few at once may ask.
    pub(crate) async fn read(
        &self,
        chat_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Message>, Error> {
        // It is never closed.
        let _permit = self.inner.readers.acquire().await;
        Ok(Message::after(&mut self.connection().await?, chat_id, after, limit).await?)
    }

    /// The store that it reads.
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
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells what was read from behind `head`, unless everybody left meanwhile.
    fn tell(&mut self, head: i64, messages: Vec<Message>) {
        if self.head != Some(head) {
            return;
        }
        for message in messages {
            self.head = Some(message.position);
            let message = Arc::new(message);
            if let Some(topic) = self.chats.get(&message.chat_id) {
                // Fails where nobody listens, which is no fault.
                let _ = topic.send(Arc::clone(&message));
            }
            let _ = self.all.send(message);
        }
    }
}

/// Hears what is stored, until it is dropped.
pub(crate) struct Listener {
    feed: Feed,
    chat_id: Option<String>,
    messages: broadcast::Receiver<Arc<Message>>,
}

impl Listener {
    /// The next message; none where some were dropped, which are in the database.
    pub(crate) async fn next(&mut self) -> Option<Arc<Message>> {
        // The other error, that the sender is gone, cannot be: the feed is held by `self`.
        self.messages.recv().await.ok()
    }

    /// The feed that it listens to.
    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The chat that it listens to; none for all of them.
    pub(crate) fn chat_id(&self) -> Option<&str> {
        self.chat_id.as_deref()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.feed.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.listeners -= 1;
        if state.listeners == 0 {
            state.head = None;
        }
        if let Some(chat_id) = &self.chat_id
            // Its own receiver is still counted.
            && state.chats.get(chat_id).is_some_and(|topic| topic.receiver_count() <= 1)
        {
            state.chats.remove(chat_id);
        }
    }
}
