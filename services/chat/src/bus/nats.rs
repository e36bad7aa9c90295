//! The link to other replicas: publishes the wake-ups of this process over NATS and receives theirs.
//!
//! A message on NATS holds the topic, in its subject, and the replica that sent it; nothing of the
//! data. The subject contains a hash of the database's identity, so that two databases may share
//! one NATS.
//!
//! Wake-ups are lost while NATS is unreachable. Therefore a replica that connects wakes all
//! replicas, itself included: the others read what it committed meanwhile, and it reads theirs. It
//! receives its own wake-up only after its subscription is active, because NATS handles both from
//! one connection in order; so nothing is missed between the two.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, Event, Subject};
use bytes::Bytes;
use database::Database;
use futures_util::{StreamExt as _, future::join_all};
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use sha2::{Digest as _, Sha256};
use strum::VariantArray as _;
use tokio::{sync::watch, time::sleep};
use transport::metrics::Registry;
use uuid::Uuid;

use super::{
    local::{Bus, Topic},
    url::BusUrl,
};

/// Time between two wake-ups of a topic: commits within it share one.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(5);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Pause before another attempt to build a client or to read the database's identity.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often a silent server is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Wake-ups that wait to be sent, and to be received. Those beyond are redundant.
const CHANNEL_CAPACITY: usize = 64;
/// Payload of a wake-up that its own sender does not ignore.
const WAKE_ALL: Bytes = Bytes::from_static(b"");

pub(crate) struct NatsLink {
    bus: Bus,
    url: BusUrl,
    database: Database,
    /// Payload of this process's wake-ups, by which it recognises them.
    replica_id: Bytes,
    state: Arc<ConnectionState>,
}

#[derive(Default)]
struct ConnectionState {
    connected: watch::Sender<bool>,
    gauge: Gauge,
    /// Errors logged since the last connection.
    logged: Mutex<Vec<String>>,
}

impl NatsLink {
    /// A link that connects once it [runs](Self::run).
    pub(crate) fn new(bus: Bus, url: BusUrl, database: Database) -> Self {
        let replica_id = Bytes::copy_from_slice(Uuid::now_v7().as_bytes());
        Self { bus, url, database, replica_id, state: Arc::default() }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "1 while NATS carries wake-ups between the replicas";
        registry.register("chat_bus_connected", help, self.state.gauge.clone());
    }

    /// Forwards wake-ups until it is aborted.
    pub(crate) async fn run(self) {
        loop {
            let error = match self.connect().await {
                // The client reconnects by itself and ends only through a fault of its own.
                Ok(client) => {
                    self.forward(&client).await;
                    "the NATS client stopped".into()
                }
                Err(error) => error.to_string(),
            };
            self.state.set_connected(false);
            self.state.log_error(error);
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// A client that connects as soon as NATS is reachable.
    async fn connect(&self) -> Result<Client, async_nats::ConnectError> {
        let state = Arc::clone(&self.state);
        let options = self
            .url
            .options()
            .name("schemagate-chat")
            .retry_on_initial_connect()
            .reconnect_delay_callback(reconnect_delay)
            .ping_interval(PING_INTERVAL)
            .client_capacity(CHANNEL_CAPACITY)
            .subscription_capacity(CHANNEL_CAPACITY)
            .event_callback(move |event| {
                state.on_event(event);
                std::future::ready(())
            });
        async_nats::connect_with_options(self.url.servers(), options).await
    }

    async fn forward(&self, client: &Client) {
        let database = self.database_token().await;
        let topics = Topic::VARIANTS.iter().map(|&topic| {
            let name: &str = topic.into();
            let subject = Subject::from(format!("schemagate.{database}.{name}"));
            self.forward_topic(client, subject, topic)
        });
        join_all(topics).await;
    }

    async fn forward_topic(&self, client: &Client, subject: Subject, topic: Topic) {
        let Ok(mut subscriber) = client.subscribe(subject.clone()).await else { return };
        let receive = async {
            while let Some(wake_up) = subscriber.next().await {
                if wake_up.payload != self.replica_id {
                    self.bus.notify(topic);
                }
            }
        };
        tokio::select! {
            () = receive => {}
            () = self.publish(client, subject, topic) => {}
        }
    }

    async fn publish(&self, client: &Client, subject: Subject, topic: Topic) {
        let mut commits = self.bus.subscribe_link(topic);
        let mut connected = self.state.connected.subscribe();
        // It may have connected before this subscription.
        connected.mark_changed();
        loop {
            let payload = tokio::select! {
                biased;
                _ = connected.changed() => WAKE_ALL,
                () = commits.recv() => self.replica_id.clone(),
            };
            // The wake-up at the next connection covers this commit.
            if !*connected.borrow() {
                continue;
            }
            if client.publish(subject.clone(), payload).await.is_err() {
                return;
            }
            sleep(PUBLISH_INTERVAL).await;
        }
    }

    /// The database's part of the subject. It reveals nothing about the database.
    async fn database_token(&self) -> String {
        loop {
            if let Ok(mut connection) = self.database.connection().await
                && let Ok(identity) = self.database.identity(&mut connection).await
            {
                return hex::encode(&Sha256::digest(identity)[..16]);
            }
            // The gate's proofs report what is wrong with the database.
            sleep(RETRY_INTERVAL).await;
        }
    }
}

/// Without jitter: a server takes the few replicas of one service at once.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX);
    Duration::from_millis(1)
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(MAX_RECONNECT_DELAY)
}

impl ConnectionState {
    fn on_event(&self, event: Event) {
        match event {
            Event::Connected => {
                self.logged.lock().clear();
                self.set_connected(true);
                tracing::info!("bus connected");
            }
            // An error follows if the client cannot reconnect.
            Event::Disconnected => self.set_connected(false),
            Event::ClientError(error) => self.log_error(error.to_string()),
            // For instance a subject that this user may not use.
            Event::ServerError(error) => self.log_error(error.to_string()),
            // The client moves to another server, or a queued wake-up covers the dropped one.
            Event::Closed | Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {}
        }
    }

    fn set_connected(&self, connected: bool) {
        self.gauge.set(connected.into());
        self.connected.send_replace(connected);
    }

    /// Logs an error, each text once for a period without connection.
    fn log_error(&self, error: String) {
        let mut logged = self.logged.lock();
        if !logged.contains(&error) {
            tracing::warn!(error, "bus unavailable; polling for commits of other replicas");
            logged.push(error);
        }
    }
}
