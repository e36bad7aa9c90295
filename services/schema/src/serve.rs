//! The life of the service: open the database, upgrade on start if configured, serve until shutdown.

use std::{fs::OpenOptions, io, path::PathBuf, sync::Arc, time::Duration};

use api::schema::v1::schema_service_server::{SERVICE_NAME, SchemaServiceServer};
use catalog::{ExpectedCatalogError, ExpectedCatalogs};
use database::{Database, DatabaseUrl};
use revisions::{Direction, Revision, Target};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use transport::{Listeners, Reflection};

use crate::{
    built_in,
    engine::engine,
    metrics,
    observer::{Inspector, Observer, backend},
    operations::{DEFAULT_LOCK_TIMEOUT, DEFAULT_WAIT, OperationError, Operations, Request},
    rpc::{Service, message},
};

/// Reads are short, and one serves many callers.
const MAX_CONNECTIONS: usize = 4;

/// How often an upgrade on start is tried again while the database cannot be reached.
const START_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The default of [`Config::step_grace`]: with the drain after it, less than the 30 seconds that
/// Kubernetes gives.
pub const STEP_GRACE: Duration = Duration::from_secs(8);

/// How long an operation may take to end after the step grace.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The configuration of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database whose schema is served.
    pub database: DatabaseUrl,
    /// Whether to upgrade to head before the first request is answered.
    pub upgrade_on_start: bool,
    /// Revisions to serve instead of the built-in ones.
    pub revisions: Option<Vec<Revision>>,
    /// How long the step in progress may go on after shutdown before it is rolled back.
    pub step_grace: Duration,
    /// Whether the contract is served by reflection.
    pub reflection: Reflection,
}

/// Why the service cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite's file does not exist and cannot be created.
    #[error("cannot create the database file {path}: {source}")]
    File {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The catalog.txt of a revision cannot be read.
    #[error(transparent)]
    ExpectedCatalog(#[from] ExpectedCatalogError),
    /// The descriptors for reflection cannot be read.
    #[error("cannot build the reflection service")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A listener failed.
    #[error("server failed")]
    Serve(#[from] tonic::transport::Error),
}

/// Serves on its listeners until `shutdown`. The step in progress is then finished, or rolled back
/// after its grace, and its callers are notified which.
///
/// # Errors
/// The database's file cannot be created, or a listener fails. A database that cannot be reached and
/// an upgrade that fails are no errors: the service serves, and Current reports them.
pub async fn serve(
    config: Config,
    listeners: impl Into<Listeners>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    create_file(&config.database)?;
    let database = Database::new(&config.database, "schemagate-schema", MAX_CONNECTIONS);
    let engine = engine(&config.database);
    let revisions = match config.revisions {
        Some(revisions) => revisions.into(),
        None => built_in::revisions(backend(&config.database)),
    };
    let expected = ExpectedCatalogs::parse(catalog::dialect(&config.database), revisions.iter())?;
    let inspector = Inspector::new(expected);
    let observer = Arc::new(Observer::new(database, revisions, inspector, engine.clone()));
    let operations = Operations::new(observer.clone(), engine, shutdown.clone(), config.step_grace);

    let watching = tokio::spawn({
        let (observer, shutdown) = (observer.clone(), shutdown.clone());
        async move { observer.run(shutdown).await }
    });
    if let Err(error) = operations.recover_interrupted().await {
        let cause = error.unreachable_cause().unwrap_or_else(|| error.to_string());
        tracing::warn!(cause, "cannot recover interrupted operations");
    }
    if config.upgrade_on_start {
        upgrade_on_start(&observer, &operations, &shutdown).await;
    }
    let (mut health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(SERVICE_NAME, ServingStatus::Serving).await;
    let exporter = metrics::exporter(&observer, operations.counts());
    let mut routes = Routes::builder();
    transport::add_reflection(&mut routes, config.reflection)?;
    routes.add_service(health_service);
    routes.add_service(SchemaServiceServer::new(Service::new(
        observer,
        operations.clone(),
        shutdown.clone(),
    )));
    let drained = async {
        shutdown.cancelled().await;
        for service in ["", SERVICE_NAME] {
            health.set_service_status(service, ServingStatus::NotServing).await;
            // Ends the streams that watch it, which would delay the end.
            health.clear_service_status(service).await;
        }
        // Callers that follow an operation stay connected until its end.
        let timeout = config.step_grace + DRAIN_TIMEOUT;
        if tokio::time::timeout(timeout, operations.drained()).await.is_err() {
            tracing::warn!(?timeout, "operation did not finish in time, exiting without it");
        }
    };
    let served = transport::serve(listeners, routes.routes(), exporter, drained).await;
    // It ends with `shutdown`, and never fails.
    let _ = watching.await;
    Ok(served?)
}

/// Creates SQLite's file, empty, where it is missing: readers open it and never create it.
fn create_file(url: &DatabaseUrl) -> Result<(), Error> {
    match url {
        DatabaseUrl::Sqlite { path, read_only: false } => OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map(drop)
            .map_err(|source| Error::File { path: path.clone(), source }),
        DatabaseUrl::Sqlite { .. } | DatabaseUrl::Postgres(_) => Ok(()),
    }
}

/// Upgrades to head. While the database cannot be reached, as when both start together, the upgrade
/// is retried in the background; any other failure needs a person.
async fn upgrade_on_start(
    observer: &Arc<Observer>,
    operations: &Arc<Operations>,
    shutdown: &CancellationToken,
) {
    if try_upgrade(observer, operations).await {
        return;
    }
    let (observer, operations) = (observer.clone(), operations.clone());
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(START_RETRY_INTERVAL) => {}
            }
            if try_upgrade(&observer, &operations).await {
                return;
            }
        }
    });
}

/// False where a retry may help.
async fn try_upgrade(observer: &Observer, operations: &Arc<Operations>) -> bool {
    let request = Request {
        direction: Direction::Up,
        target: Target::Head,
        expected_current: None,
        force: false,
        lock_timeout: DEFAULT_LOCK_TIMEOUT,
        allow_data_loss: false,
        plan_digest: String::new(),
        actor: "start".into(),
    };
    let result: Result<(), OperationError> = operations.complete(request, DEFAULT_WAIT).await;
    match result {
        Ok(()) => {
            observer.set_start_failure(None);
            true
        }
        Err(error) => {
            let is_transient = error.is_transient();
            let message = message(error);
            tracing::error!(reason = message, "upgrade on start failed");
            observer.set_start_failure(Some(message));
            !is_transient
        }
    }
}
