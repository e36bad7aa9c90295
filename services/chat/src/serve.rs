//! The service's life: a pool, a gate, the services behind it, and an end in good order.

use std::{sync::Arc, time::Duration};

use access::Bearer;
use api::chat::v1::{
    bot_service_server::{self, BotServiceServer},
    chat_service_server::{self, ChatServiceServer},
    schedule_service_server::{self, ScheduleServiceServer},
};
use database::{Database, DatabaseUrl, ErrorClass, classify};
use gate::{Gate, Mode, ProofError};
use tls::{ClientFiles, Connector};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Uri};
use transport::{Listeners, Reflection, metrics::Exporter};
use wire::error_chain;

use crate::{
    bots::{dispatcher::DeliveryDispatcher, fanout::Fanout},
    bus::{Bus, BusUrl, NatsLink, Topic},
    limits::{Limited, Limits, Room},
    messages::{feed::Feed, writer::Writer},
    models::{self, BUILT_WITH, REQUIRES},
    rpc::{Bots, Chats, Schedules},
    schedules::runner::ScheduleRunner,
    store::Store,
};

/// How long probes have to see NOT_SERVING before calls are refused, if not said.
pub const NOTICE: Duration = Duration::from_secs(5);

/// How long an open gate stays open without the schema service, if not said.
pub const MAX_STALENESS: Duration = Duration::from_secs(60 * 60);

/// What the service needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the chats are.
    pub database: DatabaseUrl,
    /// The schema service of that database.
    pub schema_url: Uri,
    /// How that is called, where its URL is https.
    pub schema_tls: ClientFiles,
    /// What is shown to it.
    pub schema_token: Bearer,
    /// What of the schema opens the gate.
    pub gate: Mode,
    /// How long an open gate stays open on what the schema service last said.
    pub max_staleness: Duration,
    /// How long probes have to see NOT_SERVING before calls are refused, where anybody probes.
    pub notice: Duration,
    /// How many of them must have seen it, if there is the time.
    pub probe_failures: u32,
    /// How much it takes on at once.
    pub limits: Limits,
    /// The NATS that wakes the other replicas; where there is none, they look by themselves.
    pub bus: Option<BusUrl>,
    /// Whether the contract is told to those who ask for it.
    pub reflection: Reflection,
}

impl Config {
    /// A service as it is where nothing else is said.
    pub fn new(database: DatabaseUrl, schema_url: Uri) -> Self {
        Self {
            database,
            schema_url,
            schema_tls: ClientFiles::default(),
            schema_token: Bearer::default(),
            gate: Mode::default(),
            max_staleness: MAX_STALENESS,
            notice: NOTICE,
            probe_failures: 1,
            limits: Limits::default(),
            bus: None,
            reflection: Reflection::default(),
        }
    }
}

/// Why the service cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The schema service's URL cannot be called.
    #[error("the schema service's URL cannot be called")]
    SchemaUrl(#[source] tonic::transport::Error),
    /// The descriptors for reflection cannot be read.
    #[error("reflection cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("the server failed")]
    Serve(#[source] tonic::transport::Error),
}

/// Serves on its listeners until `stopping`. The gate is closed until the schema service says that
/// the schema is at head; what it answers until then is the reason.
///
/// # Errors
/// The schema service's URL is of no use, or the listener fails.
pub async fn serve(
    config: Config,
    listeners: impl Into<Listeners>,
    stopping: CancellationToken,
) -> Result<(), Error> {
    let limits = config.limits;
    let size = limits.connections.get();
    let database = Database::with_index_scans(&config.database, "schemagate-chat", size);
    let gate = gate(&config, &database).await.map_err(Error::SchemaUrl)?;
    let drained = CancellationToken::new();
    let judging = tokio::spawn(gate.clone().run(drained.clone()));

    let renewing = tokio::spawn(renew(database.clone(), gate.clone()));

    let store = Store::new(database.clone(), gate.clone());
    let bus = Bus::new();
    let feed = Feed::new(store.clone());
    let feeding = tokio::spawn(feed.clone().run(bus.subscribe(Topic::Messages)));
    let (writer, writing) = Writer::start(store.clone(), bus.clone(), limits.queue.get());
    let calls = Room::new("calls", limits.requests);
    let streams = Room::new("streams", limits.streams);
    let runner = ScheduleRunner::new(store.clone(), bus.clone());
    let running = tokio::spawn(runner.run(bus.subscribe(Topic::Schedules)));
    let schedules = Schedules::new(store.clone(), writer.clone(), bus.clone());
    let dispatcher =
        Arc::new(DeliveryDispatcher::new(store.clone(), bus.clone(), limits.bot_failures));
    let fanout = Fanout::new(store.clone(), Arc::clone(&dispatcher));
    let fanning = tokio::spawn(fanout.clone().run(bus.subscribe(Topic::Messages)));
    let bots = Bots::new(store.clone(), Arc::clone(&dispatcher), fanout, streams.clone());
    let bots = BotServiceServer::new(bots);
    let chats = ChatServiceServer::new(Chats::new(store, writer, feed, streams));
    let mut routes = Routes::builder();
    transport::add_reflection(&mut routes, config.reflection)?;
    routes.add_service(gate.health_service());
    routes.add_service(gate.readiness_service());
    routes.add_service(gate.guard(Limited::new(chats, calls.clone())));
    routes.add_service(gate.guard(Limited::new(bots, calls.clone())));
    routes.add_service(gate.guard(Limited::new(ScheduleServiceServer::new(schedules), calls)));
    let mut exporter = Exporter::default();
    gate.register(&mut exporter.registry);
    let link = config.bus.map(|url| NatsLink::new(bus, url, database));
    let linking = link.map(|link| {
        link.register(&mut exporter.registry);
        tokio::spawn(link.run())
    });
    let ending = async {
        stopping.cancelled().await;
        gate.shutdown(config.notice).await;
        // What is due from now on is another replica's. A run is one transaction: it is cut off
        // whole.
        running.abort();
        fanning.abort();
    };
    let served = transport::serve(listeners, routes.routes(), exporter, ending).await;
    // It stores what was handed in, and ends with the services that hold its handles.
    let _ = writing.await;
    dispatcher.drain().await;
    for task in [Some(feeding), Some(renewing), linking].into_iter().flatten() {
        task.abort();
    }
    drained.cancel();
    // It ends when told to, and never fails.
    let _ = judging.await;
    served.map_err(Error::Serve)
}

async fn gate(config: &Config, database: &Database) -> Result<Gate, tonic::transport::Error> {
    let connector = Connector::new(config.schema_tls.clone());
    let token = config.schema_token.clone();
    let builder = Gate::builder("chat", config.schema_url.clone())?
        .connect_with(|endpoint| endpoint.connect_with_connector_lazy(connector))
        .intercept(move |request| token.authorize(request))
        .requires(REQUIRES)
        .built_with(BUILT_WITH)
        .mode(config.gate)
        .max_staleness(config.max_staleness)
        .probe_failures(config.probe_failures)
        .version(env!("CARGO_PKG_VERSION"))
        .reports([
            chat_service_server::SERVICE_NAME,
            bot_service_server::SERVICE_NAME,
            schedule_service_server::SERVICE_NAME,
        ])
        .database({
            let database = database.clone();
            move || identity(database.clone())
        })
        .models({
            let database = database.clone();
            move || answering(database.clone())
        });
    Ok(builder.build().await)
}

/// Connections that saw the schema from before the gate closed are not used after it. A new one is
/// opened while it is closed: neither the proofs nor the first call then wait for it.
async fn renew(database: Database, gate: Gate) {
    loop {
        // Only to be ready: where the database is away, the proofs will say so.
        drop(identity(database.clone()).await);
        gate.opened().await;
        gate.closed().await;
        database.reopen_connections();
    }
}

/// The gate's second proof: which database the pool reaches.
async fn identity(database: Database) -> Result<String, ProofError> {
    let mut connection = database.connection().await.map_err(|error| untried(&error))?;
    database.identity(&mut connection).await.map_err(|error| untried(&error))
}

/// The gate's third proof: the database has every column of every model.
async fn answering(database: Database) -> Result<String, ProofError> {
    match answer(&database).await? {
        Ok(()) => Ok("the tables answer as the models need them".into()),
        Err(refusal) => {
            Err(ProofError::Refuted(format!("the tables are not what the models need: {refusal}")))
        }
    }
}

/// Asks twice, since a connection may remember the schema from before it moved.
async fn answer(database: &Database) -> Result<Result<(), diesel::result::Error>, ProofError> {
    let mut refusal = Ok(());
    for _ in 0..2 {
        let mut connection = database.connection().await.map_err(|error| untried(&error))?;
        refusal = match models::probe_columns(&mut connection).await {
            Ok(()) => return Ok(Ok(())),
            Err(error) if classify(&error) == ErrorClass::SchemaMismatch => Err(error),
            Err(error) => return Err(untried(&error)),
        };
        database.reopen_connections();
    }
    Ok(refusal)
}

fn untried(error: &dyn std::error::Error) -> ProofError {
    ProofError::Untried(error_chain(error))
}
