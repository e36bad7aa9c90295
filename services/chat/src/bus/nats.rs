//! The link to the other replicas: news of this process goes out over NATS, theirs comes in.
//!
//! What is published is the topic, in the subject, and who tells it; nothing of a message. The
//! subject is bound to the database, so that two of them may share a NATS.
//!
//! News may be lost while NATS is away. So whoever connects tells everybody, itself included: of
//! what it committed meanwhile the others hear now, and it of theirs. It hears itself only once its
//! subscription stands, since NATS takes both from one connection in order; so nothing falls between.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{Client, Event, Subject};
use bytes::Bytes;
use database::Database;
use futures_util::{StreamExt as _, future::join_all};
use prometheus_client::metrics::gauge::Gauge;
use sha2::{Digest as _, Sha256};
use tokio::{sync::watch, time::sleep};
use transport::metrics::Registry;
use uuid::Uuid;

use super::{Bus, BusUrl, Topic};

/// How long news gathers after some was published: a burst of commits is a few of them.
const GATHERING: Duration = Duration::from_millis(5);
/// The pause before what failed is tried again, at most.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a silent server is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// News that waits to go out, and to be heard; what is beyond it is told by what waits.
const ROOM: usize = 64;
/// Who tells what is meant for everybody, the teller included.
const EVERYBODY: Bytes = Bytes::from_static(b"");

/// The link of this process.
pub(crate) struct Link {
    bus: Bus,
    url: BusUrl,
    database: Database,
    /// Who we are to the others.
    me: Bytes,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connected: watch::Sender<bool>,
    gauge: Gauge,
    /// Why it is away, as far as that was logged.
    told: Mutex<Vec<String>>,
}

impl Link {
    /// One that is not there yet.
    pub(crate) fn new(bus: Bus, url: BusUrl, database: Database) -> Self {
        let me = Bytes::copy_from_slice(Uuid::now_v7().as_bytes());
        Self { bus, url, database, me, state: Arc::default() }
    }

    /// Adds its metric to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "1 while NATS carries wake-ups between the replicas";
        registry.register("chat_bus_connected", help, self.state.gauge.clone());
    }

    /// Carries news, for ever.
    pub(crate) async fn run(self) {
        loop {
            let why = match self.connect().await {
                // The client tries for ever; it is gone only if something of it broke.
                Ok(client) => {
                    self.carry(&client).await;
                    "NATS's client ended".into()
                }
                Err(error) => error.to_string(),
            };
            self.state.set(false);
            self.state.warn(why);
            sleep(PAUSE).await;
        }
    }

    /// A client, whether or not NATS is there already.
    async fn connect(&self) -> Result<Client, async_nats::ConnectError> {
        let state = Arc::clone(&self.state);
        let options = self
            .url
            .options()
            .name("schemagate-chat")
            .retry_on_initial_connect()
            .reconnect_delay_callback(|tries| {
                let doubling = 2_u32.saturating_pow(u32::try_from(tries).unwrap_or(u32::MAX));
                PAUSE.min(Duration::from_millis(1).saturating_mul(doubling))
            })
            .ping_interval(KEEPALIVE)
            .client_capacity(ROOM)
            .subscription_capacity(ROOM)
            .event_callback(move |event| {
                state.heed(event);
                std::future::ready(())
            });
        async_nats::connect_with_options(self.url.servers(), options).await
    }

    async fn carry(&self, client: &Client) {
        let database = self.database().await;
        let topics = Topic::ALL.map(|topic| {
            let subject = Subject::from(format!("schemagate.{database}.{}", topic.name()));
            self.carry_topic(client, subject, topic)
        });
        join_all(topics).await;
    }

    async fn carry_topic(&self, client: &Client, subject: Subject, topic: Topic) {
        let Ok(mut subscriber) = client.subscribe(subject.clone()).await else { return };
        let hearing = async {
            while let Some(news) = subscriber.next().await {
                if news.payload != self.me {
                    self.bus.pass_on(topic);
                }
            }
        };
        tokio::select! {
            () = hearing => {}
            () = self.publish(client, subject, topic) => {}
        }
    }

    async fn publish(&self, client: &Client, subject: Subject, topic: Topic) {
        let mut own = self.bus.listen_for_others(topic);
        let mut connected = self.state.connected.subscribe();
        // It may have connected before anybody watched.
        connected.mark_changed();
        loop {
            let teller = tokio::select! {
                biased;
                _ = connected.changed() => EVERYBODY,
                () = own.heard() => self.me.clone(),
            };
            // What is not told now is told when it connects.
            if !*connected.borrow() {
                continue;
            }
            if client.publish(subject.clone(), teller).await.is_err() {
                return;
            }
            sleep(GATHERING).await;
        }
    }

    /// The database's name among all that share a NATS: says nothing to who does not know it.
    async fn database(&self) -> String {
        loop {
            if let Ok(mut connection) = self.database.connection().await
                && let Ok(identity) = self.database.identity(&mut connection).await
            {
                let hash = Sha256::digest(identity);
                return hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
            }
            // The gate's proofs say what is wrong with it.
            sleep(PAUSE).await;
        }
    }
}

impl State {
    /// Logs what becomes of the connection, each thing once.
    fn heed(&self, event: Event) {
        match event {
            Event::Connected => {
                self.told().clear();
                self.set(true);
                tracing::info!("the bus is connected");
            }
            // Where it cannot connect again, the client will say why.
            Event::Disconnected => self.set(false),
            Event::ClientError(error) => self.warn(error.to_string()),
            // Such as a subject that this user may not use.
            Event::ServerError(error) => self.warn(error.to_string()),
            // None of them loses news: the client goes to another server, or what waits tells it.
            Event::Closed | Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {}
        }
    }

    fn set(&self, connected: bool) {
        self.gauge.set(connected.into());
        self.connected.send_replace(connected);
    }

    fn warn(&self, why: String) {
        let mut told = self.told();
        if !told.contains(&why) {
            tracing::warn!(why, "the bus fails: other replicas are heard within a second instead");
            told.push(why);
        }
    }

    fn told(&self) -> MutexGuard<'_, Vec<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
