//! The bus: whoever looks after a commit hears that there was one.
//!
//! It carries no message, only the news that it is time to look: the database is the truth. News
//! that is lost costs time, at most the pace at which each listener looks by itself.
//!
//! In this process it is heard at once, and waits for nobody. Where the service is told of a NATS,
//! a [`Link`](nats::Link) carries it to the other replicas, and theirs to here.

pub(crate) mod nats;
mod url;

use std::{future::pending, sync::Arc};

use tokio::sync::watch;

pub use url::BusUrl;

/// What there may be news of. A new one is a name here and in [`ALL`](Self::ALL).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Topic {
    /// Messages were stored.
    Messages,
    /// A schedule may be due earlier than was known.
    Schedules,
}

impl Topic {
    /// All of them, in the order of their numbers.
    const ALL: [Self; 2] = [Self::Messages, Self::Schedules];

    const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Schedules => "schedules",
        }
    }
}

/// The bus of this process. Its clones are the same one.
#[derive(Clone)]
pub(crate) struct Bus {
    topics: Arc<[Bells; Topic::ALL.len()]>,
}

/// A topic's bells: the listeners', and the one that the link to the other replicas hears. Rings
/// that nobody has heard yet are one.
#[derive(Default)]
struct Bells {
    here: watch::Sender<()>,
    elsewhere: watch::Sender<()>,
}

impl Bus {
    /// One that nobody listens to yet.
    pub(crate) fn new() -> Self {
        Self { topics: Arc::new(Topic::ALL.map(|_| Bells::default())) }
    }

    /// Tells everybody, here and elsewhere, of what this process committed.
    pub(crate) fn tell(&self, topic: Topic) {
        self.bells(topic).here.send_replace(());
        self.bells(topic).elsewhere.send_replace(());
    }

    /// Listens from now on.
    pub(crate) fn listen(&self, topic: Topic) -> Ear {
        Ear(self.bells(topic).here.subscribe())
    }

    /// Tells everybody here of what another replica committed.
    fn pass_on(&self, topic: Topic) {
        self.bells(topic).here.send_replace(());
    }

    /// Listens to what this process has to tell the others.
    fn listen_for_others(&self, topic: Topic) -> Ear {
        Ear(self.bells(topic).elsewhere.subscribe())
    }

    fn bells(&self, topic: Topic) -> &Bells {
        &self.topics[topic as usize]
    }
}

/// Hears of a topic. What comes while it is not listened to is heard then, once.
pub(crate) struct Ear(watch::Receiver<()>);

impl Ear {
    /// Waits for news.
    pub(crate) async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            // The bus is gone: there will be none.
            pending().await
        }
    }
}
