//! Databases, files, clients and servers of commit 865dd92 against today's build.
//!
//! `stored` opens what that commit left behind, kept in `tests/fixtures/865dd92`. The tests in
//! `schema_servers`, `chat_servers` and `commands` run its binaries beside today's and are ignored
//! unless `.ci/compatibility` runs them: it builds these binaries. `record` wrote the fixtures.

mod chat_servers;
mod commands;
mod content;
mod lists;
mod record;
mod rights;
mod schema_servers;
mod stored;

use std::{env, net::SocketAddr, path::PathBuf, process::Output};

use api::gate::v1::{ReadinessRequest, readiness_service_client::ReadinessServiceClient};
use serde_json::Value;
use testing::{Backend, Process, TestDatabase, channel, eventually};
use tokio::process::Command;

use crate::services::binary;

/// The directory of the old binaries, which `.ci/compatibility` sets.
const OLD_BINARIES: &str = "OLD_BINARIES";

/// The build that a test starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Build {
    /// Commit 865dd92.
    Old,
    Current,
}

/// A running service and its address.
struct Server {
    process: Process,
    address: SocketAddr,
}

impl Build {
    const BOTH: [Self; 2] = [Self::Old, Self::Current];

    const fn other(self) -> Self {
        match self {
            Self::Old => Self::Current,
            Self::Current => Self::Old,
        }
    }

    fn binary(self, name: &str) -> String {
        match self {
            Self::Current => binary(name),
            Self::Old => {
                let directory = env::var(OLD_BINARIES)
                    .unwrap_or_else(|_| panic!("{OLD_BINARIES} is not set: run .ci/compatibility"));
                format!("{directory}/{name}")
            }
        }
    }

    async fn serve(self, service: &str, env: &[(&str, &str)]) -> Server {
        let mut process = Process::start(self.binary(service), &["serve"], env);
        let address = process.address(service).await;
        Server { process, address }
    }

    async fn schema(self, database: &TestDatabase) -> Server {
        self.serve("schema", &[("DATABASE_URL", database.url())]).await
    }

    /// A chat service behind a schema service; its gate may be closed.
    async fn chat(self, database: &TestDatabase, schema: &Server) -> Server {
        let url = schema.url();
        self.serve("chat", &[("DATABASE_URL", database.url()), ("SCHEMA_URL", &url)]).await
    }

    /// Runs a command of a service against a server.
    async fn run(self, server: &Server, service: &str, arguments: &[&str]) -> Output {
        let url = format!("{}_URL", service.to_uppercase());
        let mut command = Command::new(self.binary(service));
        command.args(arguments).env_clear().env(url, server.url());
        command.output().await.unwrap()
    }

    /// Runs a command that succeeds; what it prints on standard output.
    async fn run_ok(self, server: &Server, service: &str, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(server, service, arguments).await;
        let errors = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{self:?} {service} {arguments:?}: {status}: {errors}");
        String::from_utf8(stdout).unwrap()
    }

    /// The same with `--json`, parsed.
    async fn run_json(self, server: &Server, service: &str, arguments: &[&str]) -> Vec<Value> {
        let arguments = [arguments, &["--json"]].concat();
        let output = self.run_ok(server, service, &arguments).await;
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Server {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until a chat service's gate is open, or closed.
    async fn gate_is(&self, open: bool) {
        let mut gate = ReadinessServiceClient::new(channel(self.address));
        eventually(if open { "the gate opens" } else { "the gate closes" }, async || {
            let readiness = gate.readiness(ReadinessRequest {}).await.ok()?.into_inner();
            (readiness.open == open).then_some(())
        })
        .await;
    }
}

/// A fixture's path, for files that both databases share or that differ.
fn fixture(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures/865dd92").join(name)
}

/// The fixtures' directory of a database.
const fn directory(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "postgres",
        Backend::Sqlite => "sqlite",
    }
}
