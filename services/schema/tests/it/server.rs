//! A schema service in this process, and the revisions that a test gives it.

use std::net::SocketAddr;

use api::schema::v1::{
    Event, SchemaState, UpgradeRequest, schema_service_client::SchemaServiceClient,
};
use revisions::Revision;
use testing::TestDatabase;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

/// A running service; it ends with the test.
pub struct Server {
    pub address: SocketAddr,
    stopping: CancellationToken,
    running: JoinHandle<Result<(), schema::Error>>,
}

impl Server {
    /// Serves the built-in revisions.
    pub async fn start(database: &TestDatabase) -> Self {
        Self::with(database, None).await
    }

    /// Serves these revisions.
    pub async fn holding(database: &TestDatabase, revisions: &[Revision]) -> Self {
        Self::with(database, Some(revisions.to_vec())).await
    }

    async fn with(database: &TestDatabase, revisions: Option<Vec<Revision>>) -> Self {
        let url = database.url().parse().unwrap();
        Self::of(schema::Config {
            step_grace: schema::STEP_GRACE,
            reflection: Default::default(),
            database: url,
            upgrade_on_start: false,
            revisions,
        })
        .await
    }

    /// Serves as configured.
    pub async fn of(config: schema::Config) -> Self {
        let listener = transport::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let running = tokio::spawn(schema::serve(config, listener, stopping.clone()));
        Self { address, stopping, running }
    }

    pub fn client(&self) -> SchemaServiceClient<Channel> {
        SchemaServiceClient::new(testing::channel(self.address))
    }

    pub async fn current(&self) -> SchemaState {
        testing::current(self.address).await
    }

    pub async fn upgrade(&self, target: &str) -> Result<Vec<Event>, Status> {
        testing::upgrade(self.address, target).await
    }

    pub async fn downgrade(&self, target: &str) -> Result<Vec<Event>, Status> {
        testing::downgrade(self.address, target).await
    }

    /// Asks for an Upgrade with all that a request can say.
    pub async fn upgrade_with(&self, request: UpgradeRequest) -> Result<Vec<Event>, Status> {
        let mut events = self.client().upgrade(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(response) = events.message().await? {
            all.extend(response.event);
        }
        Ok(all)
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.running.await.unwrap().unwrap();
    }
}

/// A revision in one transaction.
pub fn revision(id: &'static str, up: &'static str, down: &'static str) -> Revision {
    Revision {
        id: id.into(),
        description: format!("revision {id}").into(),
        up: up.into(),
        down: down.into(),
        transactional: true,
        compatible_from: None,
        catalog: None,
    }
}

/// A revision that commits statement by statement.
pub fn outside(id: &'static str, up: &'static str, down: &'static str) -> Revision {
    Revision { transactional: false, ..revision(id, up, down) }
}

/// Three revisions, a table each.
pub fn tables() -> Vec<Revision> {
    vec![
        revision("0001", "create table a (n integer);", "drop table a;"),
        revision("0002", "create table b (n integer);", "drop table b;"),
        revision("0003", "create table c (n integer);", "drop table c;"),
    ]
}

/// One line for each event: `STEP_FINISHED 0001`.
pub fn event_lines(events: &[Event]) -> Vec<String> {
    let kind = |event: &Event| event.kind().as_str_name().trim_start_matches("KIND_").to_owned();
    events
        .iter()
        .map(|event| format!("{} {}", kind(event), event.revision).trim().to_owned())
        .collect()
}
