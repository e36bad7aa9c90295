//! The writer: one task that stores queued messages, many in a transaction.
//!
//! A single message is stored without delay; messages that arrive meanwhile go together into the
//! next transaction. No timer is involved. A caller is answered after the commit of its message.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::Reason;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use database::ErrorClass;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::sleep,
};
use wire::Problem;

use crate::{
    bus::{Bus, Topic},
    error::Error,
    models::{
        message::{Message, NewMessage},
        message_insert::{self, InsertOutcome},
    },
    store::Store,
};

/// Messages of one transaction.
const MAX_BATCH: usize = 256;
/// How long a message waits for a chat that another transaction locks.
const LOCKED_CHAT_TIMEOUT: Duration = Duration::from_secs(5);
const LOCKED_CHAT_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(1))
    .with_max_delay(Duration::from_millis(64))
    .without_max_times();

/// Queues messages for the writer. Clones share the queue.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<QueuedMessage>,
}

struct QueuedMessage {
    message: NewMessage,
    response: oneshot::Sender<Result<Message, Error>>,
    queued_at: Instant,
    backoff: ExponentialBackoff,
}

impl Writer {
    /// Starts a writer whose queue holds `capacity` messages. It ends when all handles are dropped.
    pub(crate) fn start(store: Store, bus: Bus, capacity: usize) -> (Self, JoinHandle<()>) {
        let (queue, messages) = mpsc::channel(capacity);
        let requeue = queue.downgrade();
        let task = WriterTask { store, bus, messages, requeue };
        (Self { queue }, tokio::spawn(task.run()))
    }

    /// Stores a message and returns it with its position.
    pub(crate) async fn send(&self, message: NewMessage) -> Result<Message, Error> {
        let (response, stored) = oneshot::channel();
        let backoff = LOCKED_CHAT_BACKOFF.build();
        let queued = QueuedMessage { message, response, queued_at: Instant::now(), backoff };
        self.queue.try_send(queued).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::QueueFull,
            mpsc::error::TrySendError::Closed(_) => Error::Ending,
        })?;
        stored.await.unwrap_or(Err(Error::Ending))
    }
}

struct WriterTask {
    store: Store,
    bus: Bus,
    messages: mpsc::Receiver<QueuedMessage>,
    requeue: mpsc::WeakSender<QueuedMessage>,
}

impl WriterTask {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while self.messages.recv_many(&mut batch, MAX_BATCH).await > 0 {
            // The message of a caller that cancelled is not stored.
            batch.retain(|queued| !queued.response.is_closed());
            if !batch.is_empty() {
                self.store_batch(std::mem::take(&mut batch)).await;
            }
        }
    }

    async fn store_batch(&self, batch: Vec<QueuedMessage>) {
        let Err((batch, error)) = self.try_store(batch).await else { return };
        if batch.len() == 1 || error.class() != Some(ErrorClass::Other) {
            return refuse(batch, error);
        }
        // One message failed for a reason that nothing foresaw: it must not fail the others.
        for queued in batch {
            if let Err((batch, error)) = self.try_store(vec![queued]).await {
                refuse(batch, error);
            }
        }
    }

    /// Stores a batch and responds to its callers; returns the batch if the transaction failed.
    async fn try_store(
        &self,
        batch: Vec<QueuedMessage>,
    ) -> Result<(), (Vec<QueuedMessage>, Error)> {
        let messages: Arc<[NewMessage]> =
            batch.iter().map(|queued| queued.message.clone()).collect();
        match self.insert_with_retry(&messages).await {
            Ok(outcomes) => {
                self.respond_all(batch, outcomes);
                Ok(())
            }
            Err(error) => Err((batch, error)),
        }
    }

    /// Inserts again if the connection broke. That is safe before and after the commit, because a
    /// stored message is found by its id.
    async fn insert_with_retry(
        &self,
        messages: &Arc<[NewMessage]>,
    ) -> Result<Vec<InsertOutcome>, Error> {
        match self.insert(messages).await {
            Err(error) if error.class() == Some(ErrorClass::ConnectionLost) => {
                self.store.invalidate_on(&error);
                self.insert(messages).await
            }
            result => result,
        }
        .inspect_err(|error| self.store.invalidate_on(error))
    }

    async fn insert(&self, messages: &Arc<[NewMessage]>) -> Result<Vec<InsertOutcome>, Error> {
        let mut connection = self.store.connection().await?;
        Ok(message_insert::insert(&mut connection, messages).await?)
    }

    fn respond_all(&self, batch: Vec<QueuedMessage>, outcomes: Vec<InsertOutcome>) {
        if outcomes.iter().any(|outcome| matches!(outcome, InsertOutcome::Stored(_))) {
            self.bus.publish(Topic::Messages);
        }
        for (queued, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                InsertOutcome::Deferred if queued.queued_at.elapsed() < LOCKED_CHAT_TIMEOUT => {
                    self.requeue(queued);
                }
                outcome => queued.respond_with(outcome),
            }
        }
    }

    fn requeue(&self, mut queued: QueuedMessage) {
        let requeue = self.requeue.clone();
        tokio::spawn(async move {
            sleep(queued.backoff.next().unwrap_or_default()).await;
            match requeue.upgrade() {
                Some(queue) => drop(queue.send(queued).await),
                None => queued.respond(Err(Error::Ending)),
            }
        });
    }
}

fn refuse(batch: Vec<QueuedMessage>, error: Error) {
    let problem = error.into_problem();
    for queued in batch {
        queued.respond(Err(Error::Refused(problem.clone())));
    }
}

impl QueuedMessage {
    fn respond_with(self, outcome: InsertOutcome) {
        let Self { message, response, .. } = self;
        // Sending fails if the caller cancelled.
        let _ = response.send(into_result(message, outcome));
    }

    fn respond(self, result: Result<Message, Error>) {
        let _ = self.response.send(result);
    }
}

/// The response to the caller of a message.
fn into_result(message: NewMessage, outcome: InsertOutcome) -> Result<Message, Error> {
    match outcome {
        InsertOutcome::Stored(position) => Ok(message.at_position(position)),
        // A retry of a call that had succeeded.
        InsertOutcome::IdTaken(taken)
            if taken.chat_id == message.chat_id && taken.body == message.body =>
        {
            Ok(taken)
        }
        InsertOutcome::IdTaken(_) => Err(Error::MessageIdTaken(message.id)),
        InsertOutcome::ChatNotFound => Err(Error::ChatNotFound(message.chat_id)),
        InsertOutcome::ReplyNotInChat => {
            let text = "no message of this chat has this id";
            Err(Problem::invalid("reply_to", Reason::ReplyNotInChat, text).into())
        }
        InsertOutcome::Deferred => Err(Error::ChatLocked(message.chat_id)),
    }
}
