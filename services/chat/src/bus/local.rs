//! The bus within this process.

use std::{future::pending, sync::Arc};

use strum::{EnumCount, IntoStaticStr, VariantArray};
use tokio::sync::watch;

/// What a wake-up is about. The name is part of the NATS subject.
#[derive(Clone, Copy, Debug, EnumCount, Eq, IntoStaticStr, PartialEq, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Topic {
    /// Messages were stored.
    Messages,
    /// A schedule may be due earlier than before.
    Schedules,
}

/// The bus of this process. Clones share it.
#[derive(Clone)]
pub(crate) struct Bus {
    topics: Arc<[Subscribers; Topic::COUNT]>,
}

/// The subscribers of a topic: the readers of this process, and the link to other replicas.
/// Wake-ups that a subscriber has not received yet are merged into one.
#[derive(Default)]
struct Subscribers {
    readers: watch::Sender<()>,
    link: watch::Sender<()>,
}

impl Bus {
    pub(crate) fn new() -> Self {
        Self { topics: Arc::new(std::array::from_fn(|_| Subscribers::default())) }
    }

    /// Wakes every subscriber, here and at other replicas, after a commit of this process.
    pub(crate) fn publish(&self, topic: Topic) {
        self.notify(topic);
        self.subscribers(topic).link.send_replace(());
    }

    /// Wakes the readers of this process only, after a commit of another replica.
    pub(super) fn notify(&self, topic: Topic) {
        self.subscribers(topic).readers.send_replace(());
    }

    pub(crate) fn subscribe(&self, topic: Topic) -> WakeUps {
        WakeUps(self.subscribers(topic).readers.subscribe())
    }

    /// Subscribes to the commits of this process only, to forward them.
    pub(super) fn subscribe_link(&self, topic: Topic) -> WakeUps {
        WakeUps(self.subscribers(topic).link.subscribe())
    }

    fn subscribers(&self, topic: Topic) -> &Subscribers {
        &self.topics[topic as usize]
    }
}

/// The wake-ups of a subscriber.
pub(crate) struct WakeUps(watch::Receiver<()>);

impl WakeUps {
    /// Waits for a wake-up. Returns at once if there was one since the last call.
    pub(crate) async fn recv(&mut self) {
        if self.0.changed().await.is_err() {
            // The bus was dropped: there will be no wake-up.
            pending().await
        }
    }
}
