//! Starting the service and its tasks, and shutting them down in order.

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
    limits::{ConcurrencyLimit, LimitedService, Limits},
    messages::{feed::Feed, writer::Writer},
    models::{self, BUILT_WITH, REQUIRES},
    rpc::{BotRpcs, ChatRpcs, ScheduleRpcs},
    schedules::runner::ScheduleRunner,
    store::Store,
};

/// The default of [`Config::notice`].
pub const SHUTDOWN_NOTICE: Duration = Duration::from_secs(5);

/// The default of [`Config::max_staleness`].
pub const MAX_STALENESS: Duration = Duration::from_secs(60 * 60);

/// The configuration of a service.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database that holds the chats.
    pub database: DatabaseUrl,
    /// The schema service of the same database.
    pub schema_url: Uri,
    /// TLS to the schema service, if its URL is https.
    pub schema_tls: ClientFiles,
    /// The token for the schema service.
    pub schema_token: Bearer,
    /// Which revisions open the gate.
    pub gate: Mode,
    /// How long an open gate stays open without an answer of the schema service.
    pub max_staleness: Duration,
    /// How long health reports NOT_SERVING before calls are refused, if a probe watches it.
    pub notice: Duration,
    /// How many probes must have seen NOT_SERVING, within the notice, before calls are refused.
    pub probe_failures: u32,
    /// Limits on concurrent work.
    pub limits: Limits,
    /// The NATS that wakes the other replicas. Without one, they poll.
    pub bus: Option<BusUrl>,
    /// Whether the server answers reflection.
    pub reflection: Reflection,
}

impl Config {
    /// The defaults.
    pub fn new(database: DatabaseUrl, schema_url: Uri) -> Self {
        Self {
            database,
            schema_url,
            schema_tls: ClientFiles::default(),
            schema_token: Bearer::default(),
            gate: Mode::default(),
            max_staleness: MAX_STALENESS,
            notice: SHUTDOWN_NOTICE,
            probe_failures: 1,
            limits: Limits::default(),
            bus: None,
            reflection: Reflection::default(),
        }
    }
}

/// Why a service cannot start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL of the schema service is not one that a channel can be made of.
    #[error("the URL of the schema service cannot be used")]
    SchemaUrl(#[source] tonic::transport::Error),
    /// The descriptors cannot be decoded.
    #[error("the reflection service cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("server failed")]
    Serve(#[source] tonic::transport::Error),
}

/// Serves on `listeners` until `stopping` is cancelled, then drains. The gate is closed, and calls are
/// refused with the reason, until the schema service reports a schema that `config.gate` accepts.
///
/// # Errors
/// The URL of the schema service cannot be used, or a listener fails.
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
    let gate_task = tokio::spawn(gate.clone().run(drained.clone()));

    let renew_task = tokio::spawn(renew(database.clone(), gate.clone()));

    let store = Store::new(database.clone(), gate.clone());
    let bus = Bus::new();
    let feed = Feed::new(store.clone());
    let feed_task = tokio::spawn(feed.clone().run(bus.subscribe(Topic::Messages)));
    let (writer, writer_task) = Writer::start(store.clone(), bus.clone(), limits.queue.get());
    let calls = ConcurrencyLimit::new("calls", limits.requests);
    let streams = ConcurrencyLimit::new("streams", limits.streams);
    let runner = ScheduleRunner::new(store.clone(), bus.clone());
    let runner_task = tokio::spawn(runner.run(bus.subscribe(Topic::Schedules)));
    let schedules = ScheduleRpcs::new(store.clone(), writer.clone(), bus.clone());
    let dispatcher =
        Arc::new(DeliveryDispatcher::new(store.clone(), bus.clone(), limits.bot_failures));
    let fanout = Fanout::new(store.clone(), Arc::clone(&dispatcher));
    let fanout_task = tokio::spawn(fanout.clone().run(bus.subscribe(Topic::Messages)));
    let bots = BotRpcs::new(store.clone(), Arc::clone(&dispatcher), fanout, streams.clone());
    let bots = BotServiceServer::new(bots);
    let chats = ChatServiceServer::new(ChatRpcs::new(store, writer, feed, streams));
    let mut routes = Routes::builder();
    transport::add_reflection(&mut routes, config.reflection)?;
    routes.add_service(gate.health_service());
    routes.add_service(gate.readiness_service());
    routes.add_service(gate.guard(LimitedService::new(chats, calls.clone())));
    routes.add_service(gate.guard(LimitedService::new(bots, calls.clone())));
    routes
        .add_service(gate.guard(LimitedService::new(ScheduleServiceServer::new(schedules), calls)));
    let mut exporter = Exporter::default();
    gate.register(&mut exporter.registry);
    let link = config.bus.map(|url| NatsLink::new(bus, url, database));
    let link_task = link.map(|link| {
        link.register(&mut exporter.registry);
        tokio::spawn(link.run())
    });
    let shutdown = async {
        stopping.cancelled().await;
        gate.shutdown(config.notice).await;
        // Another replica does what is due from now on. A run and a fan-out are one transaction each.
        runner_task.abort();
        fanout_task.abort();
    };
    let served = transport::serve(listeners, routes.routes(), exporter, shutdown).await;
    // It stores what is in its queue; the services that held its handles are gone.
    let _ = writer_task.await;
    dispatcher.drain().await;
    for task in [Some(feed_task), Some(renew_task), link_task].into_iter().flatten() {
        task.abort();
    }
    drained.cancel();
    let _ = gate_task.await;
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
            move || check_models(database.clone())
        });
    Ok(builder.build().await)
}

/// Discards the pool's connections each time that the gate closes: they remember the schema from before.
/// Opens one while the gate is closed, so that neither the proofs nor the first call wait for it.
async fn renew(database: Database, gate: Gate) {
    loop {
        // An error is ignored: the proofs report it.
        drop(identity(database.clone()).await);
        gate.opened().await;
        gate.closed().await;
        database.reopen_connections();
    }
}

/// The gate's second proof: the identity of the database that the pool is connected to.
async fn identity(database: Database) -> Result<String, ProofError> {
    let mut connection = database.connection().await.map_err(|error| untried(&error))?;
    database.identity(&mut connection).await.map_err(|error| untried(&error))
}

/// The gate's third proof: the database has every column of every model.
async fn check_models(database: Database) -> Result<String, ProofError> {
    match query_models(&database).await? {
        Ok(()) => Ok("the tables have every column of the models".into()),
        Err(refusal) => Err(ProofError::Refuted(format!(
            "the tables do not match what this build expects: {refusal}"
        ))),
    }
}

/// Tries twice: a connection may remember the schema from before a change.
async fn query_models(
    database: &Database,
) -> Result<Result<(), diesel::result::Error>, ProofError> {
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
