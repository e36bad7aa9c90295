//! The processes: a schema service, the replicas of the chat service, and NATS between them.

use std::{net::SocketAddr, time::Duration};

use api::gate::v1::{ReadinessRequest, readiness_service_client::ReadinessServiceClient};
use testing::{Backend, Nats, Process, TestDatabase, channel, eventually, upgrade};
use tokio::time::sleep;

use crate::{
    figures::resident,
    services::{binary, schema},
};

/// Failures of a delivery after which it is parked: within seconds.
pub const FAILURES: usize = 4;

/// All that runs.
pub struct World {
    /// Where everything is kept.
    pub backend: Backend,
    pub schema: Process,
    pub replicas: Vec<Process>,
    /// Where the replicas are called.
    pub addresses: Vec<SocketAddr>,
    /// None with one replica, which has nobody to wake.
    pub nats: Option<Nats>,
    /// Outlives those who use it.
    pub database: TestDatabase,
}

impl World {
    /// On a database of its own, serving.
    pub async fn start(backend: Backend) -> Self {
        let database = backend.empty().await;
        let mut schema = schema(&database);
        let schema_address = schema.address("schema").await;
        upgrade(schema_address, "head").await.unwrap();
        let (count, nats) = match backend {
            Backend::Postgres => (2, Some(Nats::start().await)),
            Backend::Sqlite => (1, None),
        };
        let bus = nats.as_ref().map(Nats::url);
        let (schema_url, failures) = (format!("http://{schema_address}"), FAILURES.to_string());
        let mut env = vec![
            ("DATABASE_URL", database.url()),
            ("SCHEMA_URL", &schema_url),
            ("CHAT_BOT_FAILURES", &failures),
            // Nobody probes.
            ("CHAT_NOTICE", "1s"),
        ];
        env.extend(bus.as_deref().map(|bus| ("CHAT_BUS", bus)));
        let mut replicas: Vec<Process> =
            (0..count).map(|_| Process::start(binary("chat"), &["serve"], &env)).collect();
        let mut addresses = Vec::new();
        for replica in &mut replicas {
            addresses.push(replica.address("chat").await);
        }
        let world = Self { backend, schema, replicas, addresses, nats, database };
        for number in 0..count {
            world.opened(number).await;
        }
        world
    }

    /// Starts a replica again that ended, and waits until it serves.
    pub async fn restart(&mut self, replica: usize, after: Duration) {
        sleep(after).await;
        self.replicas[replica].restart();
        self.replicas[replica].address("chat").await;
        self.opened(replica).await;
    }

    /// The replicas' resident memory, in MiB.
    pub fn memory(&self) -> Vec<f64> {
        self.replicas.iter().map(resident).collect()
    }

    async fn opened(&self, replica: usize) {
        let mut gate = ReadinessServiceClient::new(channel(self.addresses[replica]));
        eventually("the replica serves", async || {
            let said = gate.readiness(ReadinessRequest {}).await.ok()?;
            said.into_inner().open.then_some(())
        })
        .await;
    }
}
