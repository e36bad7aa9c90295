//! The service's life: open the database, upgrade where told to, answer until asked to end.

use std::{fs::OpenOptions, io, path::PathBuf, sync::Arc, time::Duration};

use api::schema::v1::schema_service_server::{SERVICE_NAME, SchemaServiceServer};
use database::{Database, DatabaseUrl};
use revisions::Revision;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, service::Routes};
use tonic_health::ServingStatus;
use transport::{Listeners, Reflection};

use crate::{
    catalog::{self, PromiseError, Promises},
    engine::{Direction, Engine},
    inspector::Inspector,
    line::Line,
    metrics,
    observer::{Observer, backend},
    operations::{LOCK_TIMEOUT, Operations, Request, WAIT},
    rpc::Service,
    target::Target,
};

/// Reads are short, and one look serves many callers.
const CONNECTIONS: usize = 4;

/// How often an upgrade on start is tried again while the database cannot be reached.
const RETRY: Duration = Duration::from_secs(1);

/// How long the step in hand may go on once the service ends, if not said: with the drain after
/// it, less than the half minute that Kubernetes gives.
pub const STEP_GRACE: Duration = Duration::from_secs(8);

/// How long an operation may take to end after that.
const DRAIN: Duration = Duration::from_secs(10);

/// What the service needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database whose schema it is.
    pub database: DatabaseUrl,
    /// Upgrade to head before the first request is answered.
    pub upgrade_on_start: bool,
    /// The revisions that are served instead of the built-in ones.
    pub revisions: Option<Vec<Revision>>,
    /// How long the step in hand may go on once the service ends, before it is rolled back.
    pub step_grace: Duration,
    /// Whether the contract is told to those who ask for it.
    pub reflection: Reflection,
}

/// Why the service cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite's file is not there and cannot be made.
    #[error("the database file {path} cannot be made: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A revision's catalog.txt is no catalog.
    #[error(transparent)]
    Promise(#[from] PromiseError),
    /// The descriptors for reflection cannot be read.
    #[error("reflection cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("the server failed")]
    Serve(#[from] tonic::transport::Error),
}

/// Serves on its listeners until `stopping`. The step in hand is finished, or rolled back once it
/// had its grace, and whoever called hears which.
///
/// # Errors
/// The database's file cannot be made, or the listener fails. A database that cannot be reached,
/// or an upgrade that fails, is no error: the service answers, and Current says so.
pub async fn serve(
    config: Config,
    listeners: impl Into<Listeners>,
    stopping: CancellationToken,
) -> Result<(), Error> {
    make_file(&config.database)?;
    let database = Database::new(&config.database, "schemagate-schema", CONNECTIONS);
    let engine = Engine::new(&config.database);
    let line = match config.revisions {
        Some(revisions) => revisions.into(),
        None => Line::built_in(backend(&config.database)),
    };
    let promises = Promises::of(catalog::dialect(&config.database), line.iter())?;
    let inspector = Inspector::new(promises);
    let observer = Arc::new(Observer::new(database, line, inspector, engine.clone()));
    let operations = Operations::new(observer.clone(), engine, stopping.clone(), config.step_grace);

    let watching = tokio::spawn({
        let (observer, stopping) = (observer.clone(), stopping.clone());
        async move { observer.run(stopping).await }
    });
    if let Err(error) = operations.tidy().await {
        tracing::warn!(
            "what an earlier server left could not be looked at: {}",
            error.with_cause()
        );
    }
    if config.upgrade_on_start {
        upgrade_on_start(&observer, &operations, &stopping).await;
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
        stopping.clone(),
    )));
    let ending = async {
        stopping.cancelled().await;
        for service in ["", SERVICE_NAME] {
            health.set_service_status(service, ServingStatus::NotServing).await;
            // Ends the streams that watch it, which would hold up the end.
            health.clear_service_status(service).await;
        }
        // Who follows an operation stays to hear how it ended.
        let limit = config.step_grace + DRAIN;
        if tokio::time::timeout(limit, operations.drained()).await.is_err() {
            tracing::warn!("an operation has not ended after {limit:?}; it is left");
        }
    };
    let served = transport::serve(listeners, routes.routes(), exporter, ending).await;
    // It ends with `stopping`, and never fails.
    let _ = watching.await;
    Ok(served?)
}

/// SQLite's file, empty, where there is none: readers open it and never make it.
fn make_file(url: &DatabaseUrl) -> Result<(), Error> {
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

/// Upgrades to head. Where the database cannot be reached yet, as when both start together, the
/// upgrade goes on being tried behind the service's back; any other failure is for people.
async fn upgrade_on_start(
    observer: &Arc<Observer>,
    operations: &Arc<Operations>,
    stopping: &CancellationToken,
) {
    if !try_upgrade(observer, operations).await {
        let (observer, operations) = (observer.clone(), operations.clone());
        let stopping = stopping.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
                if try_upgrade(&observer, &operations).await {
                    return;
                }
            }
        });
    }
}

/// False where it makes sense to try again.
async fn try_upgrade(observer: &Observer, operations: &Arc<Operations>) -> bool {
    let request = Request {
        direction: Direction::Up,
        target: Target::Head,
        expected_current: None,
        force: false,
        lock_timeout: LOCK_TIMEOUT,
        allow_data_loss: false,
        plan_digest: String::new(),
        actor: "start".into(),
    };
    let result: Result<(), Status> = operations.complete(request, WAIT).await;
    match result {
        Ok(()) => {
            observer.set_start_failure(None);
            true
        }
        Err(status) => {
            tracing::error!("the upgrade on start did not run: {}", status.message());
            observer.set_start_failure(Some(status.message().into()));
            !matches!(status.code(), Code::Unavailable | Code::Aborted)
        }
    }
}
