//! The writer: one task that stores what waits, in one transaction a time.
//!
//! A lone message is stored at once; while it is, others gather, and go together in the next
//! transaction. There is no timer. Each caller is answered after the commit that holds its message.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{database::ErrorClass, status::Problem};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::sleep,
};

use crate::{
    bus::{Bus, Topic},
    error::Error,
    models::{
        message::{Message, NewMessage},
        sending::{self, Outcome},
    },
    store::Store,
};

/// Messages in one transaction, at most.
const BATCH: usize = 256;
/// How long a message waits for a chat that others hold locked.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause before a message is tried again; it doubles with each try.
const PAUSE: Duration = Duration::from_millis(1);

/// Where messages are handed in. Its clones lead to the same writer.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Job>,
}

/// A message whose caller waits for an answer.
struct Job {
    message: NewMessage,
    answer: oneshot::Sender<Result<Message, Error>>,
    since: Instant,
    tries: u32,
}

impl Writer {
    /// Starts a writer with room for so many waiting messages. It ends when its handles are gone.
    pub(crate) fn start(store: Store, bus: Bus, room: usize) -> (Self, JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(room);
        let again = queue.downgrade();
        (Self { queue }, tokio::spawn(Batches { store, bus, jobs, again }.run()))
    }

    /// Stores a message, and returns it as it is stored.
    pub(crate) async fn send(&self, message: NewMessage) -> Result<Message, Error> {
        let (answer, answered) = oneshot::channel();
        let job = Job { message, answer, since: Instant::now(), tries: 0 };
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::QueueFull,
            mpsc::error::TrySendError::Closed(_) => Error::Ending,
        })?;
        answered.await.unwrap_or(Err(Error::Ending))
    }
}

/// The writer's own side.
struct Batches {
    store: Store,
    bus: Bus,
    jobs: mpsc::Receiver<Job>,
    again: mpsc::WeakSender<Job>,
}

impl Batches {
    async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH);
        while self.jobs.recv_many(&mut waiting, BATCH).await > 0 {
            // A caller that is gone wants nothing of the database any more.
            waiting.retain(|job| !job.answer.is_closed());
            if !waiting.is_empty() {
                self.store(std::mem::take(&mut waiting)).await;
            }
        }
    }

    async fn store(&self, jobs: Vec<Job>) {
        let Err((jobs, error)) = self.try_to_store(jobs).await else { return };
        if jobs.len() == 1 || error.class() != Some(ErrorClass::Other) {
            return refuse(jobs, error);
        }
        // Something of one of them that nobody foresaw: it shall fail alone.
        for job in jobs {
            if let Err((jobs, error)) = self.try_to_store(vec![job]).await {
                refuse(jobs, error);
            }
        }
    }

    async fn try_to_store(&self, jobs: Vec<Job>) -> Result<(), (Vec<Job>, Error)> {
        let batch: Arc<[NewMessage]> = jobs.iter().map(|job| job.message.clone()).collect();
        match self.store_surely(&batch).await {
            Ok(outcomes) => {
                self.answer_all(jobs, outcomes);
                Ok(())
            }
            Err(error) => Err((jobs, error)),
        }
    }

    /// A batch may be stored twice: what is there is told as such. So a connection that broke,
    /// before or after the commit, costs nobody an error.
    async fn store_surely(&self, batch: &Arc<[NewMessage]>) -> Result<Vec<Outcome>, Error> {
        match self.store_once(batch).await {
            Err(error) if error.class() == Some(ErrorClass::ConnectionLost) => {
                self.store.heed(&error);
                self.store_once(batch).await
            }
            result => result,
        }
        .inspect_err(|error| self.store.heed(error))
    }

    async fn store_once(&self, batch: &Arc<[NewMessage]>) -> Result<Vec<Outcome>, Error> {
        let mut connection = self.store.connection().await?;
        Ok(sending::store(&mut connection, batch).await?)
    }

    fn answer_all(&self, jobs: Vec<Job>, outcomes: Vec<Outcome>) {
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stored(_))) {
            self.bus.tell(Topic::Messages);
        }
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Later if job.since.elapsed() < PATIENCE => self.try_again(job),
                outcome => job.answer(outcome),
            }
        }
    }

    fn try_again(&self, mut job: Job) {
        let again = self.again.clone();
        tokio::spawn(async move {
            sleep(PAUSE * 2_u32.pow(job.tries.min(6))).await;
            job.tries += 1;
            match again.upgrade() {
                Some(queue) => drop(queue.send(job).await),
                None => job.reply(Err(Error::Ending)),
            }
        });
    }
}

fn refuse(jobs: Vec<Job>, error: Error) {
    let problem = error.into_problem();
    for job in jobs {
        job.reply(Err(Error::Refused(problem.clone())));
    }
}

impl Job {
    fn answer(self, outcome: Outcome) {
        let Self { message, answer, .. } = self;
        let result = match outcome {
            Outcome::Stored(position) => Ok(message.at(position)),
            Outcome::Taken(taken)
                if taken.chat_id == message.chat_id && taken.body == message.body =>
            {
                Ok(taken)
            }
            Outcome::Taken(_) => Err(Error::MessageIdTaken(message.id)),
            Outcome::NoChat => Err(Error::ChatNotFound(message.chat_id)),
            Outcome::NoReply => {
                let what = "no message of this chat has this id";
                Err(Problem::invalid("reply_to", "REPLY_NOT_IN_CHAT", what).into())
            }
            Outcome::Later => Err(Error::ChatLocked(message.chat_id)),
        };
        let _ = answer.send(result);
    }

    fn reply(self, result: Result<Message, Error>) {
        // A caller that is gone is told nothing.
        let _ = self.answer.send(result);
    }
}
