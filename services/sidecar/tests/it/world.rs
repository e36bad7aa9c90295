//! A schema service on a database of its own, and the `gate` binary beside it.

use std::{net::SocketAddr, path::Path, time::Duration};

use api::schema::v1::Dependent;
use testing::{Backend, Process, TestDatabase, current, upgrade};
use tokio::time::timeout;

use crate::http::{Answer, get};

pub const GATE: &str = env!("CARGO_BIN_EXE_gate");
/// How long a dependent stays registered that does not deregister.
const LEASE_TTL: Duration = Duration::from_secs(15);
/// What the gated service of these tests needs.
const REQUIRES: [&str; 4] = ["--service", "reports", "--requires", "0002"];

pub struct World {
    pub database: TestDatabase,
    pub schema: Process,
    pub address: SocketAddr,
}

impl World {
    /// With an empty database.
    pub async fn empty(backend: Backend) -> Self {
        let database = backend.empty().await;
        let mut schema =
            Process::start(binary("schema"), &["serve"], &[("DATABASE_URL", database.url())]);
        let address = schema.address("schema").await;
        Self { database, schema, address }
    }

    pub async fn at_head(backend: Backend) -> Self {
        let world = Self::empty(backend).await;
        world.upgrade("").await;
        world
    }

    pub async fn upgrade(&self, target: &str) {
        upgrade(self.address, target).await.expect("upgraded");
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn dependents(&self) -> Vec<Dependent> {
        current(self.address).await.dependents
    }

    /// Waits until no dependent is registered, for less time than a lease lasts.
    pub async fn until_deregistered(&self) {
        let deregistered = testing::eventually("deregistered", async || {
            self.dependents().await.is_empty().then_some(())
        });
        timeout(LEASE_TTL / 2, deregistered).await.expect("it deregisters by itself");
    }

    /// Starts `gate COMMAND` for a service that requires 0002.
    pub fn gate(&self, command: &str, flags: &[&str], env: &[(&str, &str)]) -> Process {
        let arguments = [&[command], &REQUIRES[..], flags].concat();
        let url = self.url();
        let mut all = vec![("SCHEMA_URL", &*url), ("GATE_LISTEN", "127.0.0.1:0")];
        if command == "proxy" {
            all.push(("GATE_ADMIN_LISTEN", "127.0.0.1:0"));
        }
        all.extend(env.iter().copied());
        Process::start(GATE, &arguments, &all)
    }

    /// Starts `gate serve`, and returns where it listens.
    pub async fn serve(&self, flags: &[&str]) -> (Process, SocketAddr) {
        let mut gate = self.gate("serve", flags, &[]);
        let address = gate.address("gate").await;
        (gate, address)
    }

    /// Starts `gate proxy` before an upstream, and returns where it listens.
    pub async fn proxy(&self, upstream: SocketAddr, flags: &[&str]) -> (Process, SocketAddr) {
        let upstream = format!("http://{upstream}");
        let flags = [&["--upstream", &*upstream], flags].concat();
        let mut gate = self.gate("proxy", &flags, &[]);
        let address = gate.address("gate").await;
        (gate, address)
    }
}

/// Waits until a path answers 200.
pub async fn until_ok(address: SocketAddr, path: &str) -> Answer {
    testing::eventually(&format!("200 at {path}"), async || {
        Some(get(address, path).await).filter(|answer| answer.status == 200)
    })
    .await
}

/// Waits until a path is refused for this reason.
pub async fn until_refused(address: SocketAddr, path: &str, reason: &str) -> Answer {
    testing::eventually(&format!("{reason} at {path}"), async || {
        let answer = get(address, path).await;
        Some(answer).filter(|answer| answer.status == 503 && answer.json()["reason"] == reason)
    })
    .await
}

/// A binary of this workspace, beside our own.
pub fn binary(name: &str) -> String {
    let path = Path::new(GATE).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --bin {name}", path.display());
    path.display().to_string()
}
