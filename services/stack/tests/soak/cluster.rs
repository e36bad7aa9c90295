//! The processes: a schema service, the replicas of the chat service, and NATS between them.

use std::{net::SocketAddr, time::Duration};

use api::gate::v1::{ReadinessRequest, readiness_service_client::ReadinessServiceClient};
use testing::{Backend, Nats, Process, TestDatabase, channel, eventually, upgrade};
use tokio::time::sleep;

use crate::{
    figures::resident,
    services::{binary, schema},
};

/// Failures after which a delivery is parked: it takes seconds.
pub const BOT_FAILURES: usize = 4;

pub struct Cluster {
    pub backend: Backend,
    pub schema: Process,
    pub replicas: Vec<Process>,
    pub addresses: Vec<SocketAddr>,
    /// None with a single replica, which has no other to wake.
    pub nats: Option<Nats>,
    /// Last, so that it is dropped after the services.
    pub database: TestDatabase,
}

impl Cluster {
    /// Starts all processes on a new database and waits until they serve.
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
        let (schema_url, failures) = (format!("http://{schema_address}"), BOT_FAILURES.to_string());
        let mut env = vec![
            ("DATABASE_URL", database.url()),
            ("SCHEMA_URL", &schema_url),
            ("CHAT_BOT_FAILURES", &failures),
            // Without probes the shutdown notice is a delay only.
            ("CHAT_NOTICE", "1s"),
        ];
        env.extend(bus.as_deref().map(|bus| ("CHAT_BUS", bus)));
        let mut replicas: Vec<Process> =
            (0..count).map(|_| Process::start(binary("chat"), &["serve"], &env)).collect();
        let mut addresses = Vec::new();
        for replica in &mut replicas {
            addresses.push(replica.address("chat").await);
        }
        let cluster = Self { backend, schema, replicas, addresses, nats, database };
        for number in 0..count {
            cluster.wait_until_serving(number).await;
        }
        cluster
    }

    /// Restarts a replica that ended, and waits until it serves.
    pub async fn restart(&mut self, replica: usize, after: Duration) {
        sleep(after).await;
        self.replicas[replica].restart();
        self.replicas[replica].address("chat").await;
        self.wait_until_serving(replica).await;
    }

    /// The replicas' resident memory, in MiB.
    pub fn memory(&self) -> Vec<f64> {
        self.replicas.iter().map(resident).collect()
    }

    async fn wait_until_serving(&self, replica: usize) {
        let mut gate = ReadinessServiceClient::new(channel(self.addresses[replica]));
        eventually("the replica serves", async || {
            let readiness = gate.readiness(ReadinessRequest {}).await.ok()?;
            readiness.into_inner().open.then_some(())
        })
        .await;
    }
}
