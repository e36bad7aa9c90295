//! The chat service under load, with the real binary and a tonic client of its own, each figure
//! beside what the database does by itself in the same run: pgbench, COPY, the sqlite3 shell.
//!
//! ```sh
//! cargo build --release --bins
//! TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo bench -p stack --bench messenger
//! ```
//!
//! `-- sending`, `listing`, `streams` and `import` run a part of it.
//!
//! PostgreSQL is to be as durable as in production (fsync on), with pgbench and psql on the path.
//! All of it is on one machine: client, service and database share its cores.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails panics at the place")]

#[path = "../figures/figures.rs"]
#[expect(dead_code, reason = "other benchmarks use the rest")]
mod figures;
mod import;
mod listing;
mod pgbench;
mod sending;
#[path = "../../tests/it/services.rs"]
mod services;
mod streams;

use std::{net::SocketAddr, time::Duration};

use api::chat::v1::chat_service_client::ChatServiceClient;
use testing::{Backend, Process, TestDatabase, channel, eventually, upgrade};
use tonic::transport::Channel;

/// Connections of the client's. A server takes two hundred calls on one at a time.
const CHANNELS: usize = 4;
/// How often what is compared takes turns: a machine is not as fast now as it is in a minute, by
/// more than they are apart.
const TURNS: u32 = 5;

/// How much of each: all of it, or as little as shows that it runs.
#[derive(Clone, Copy)]
pub struct Scale {
    /// For what is counted by time.
    pub lasting: Duration,
    /// For what is counted in rows: one in so many of them.
    pub rows: usize,
}

impl Scale {
    /// For one turn of all.
    fn turn(self) -> Self {
        Self { lasting: self.lasting / TURNS, ..self }
    }
}

/// Both services on a database, with chats in it.
pub struct Stack {
    /// Where the chats are.
    pub database: TestDatabase,
    /// The chat service.
    pub chat: Process,
    address: SocketAddr,
    _schema: Process,
}

impl Stack {
    /// At head, serving.
    async fn start(backend: Backend) -> Self {
        let database = backend.empty().await;
        let mut schema = services::schema(&database);
        let schema_address = schema.address("schema").await;
        upgrade(schema_address, "head").await.unwrap();
        let mut chat = services::chat(&database, schema_address);
        let address = chat.address("chat").await;
        let stack = Self { database, chat, address, _schema: schema };
        eventually("the chat service serves", async || {
            stack.client().list_chats(api::chat::v1::ListChatsRequest::default()).await.ok()
        })
        .await;
        stack
    }

    /// A client on a connection of its own.
    pub fn client(&self) -> ChatServiceClient<Channel> {
        ChatServiceClient::new(channel(self.address))
    }

    /// Some of them.
    pub fn clients(&self) -> Vec<ChatServiceClient<Channel>> {
        (0..CHANNELS).map(|_| self.client()).collect()
    }

    /// Writes chats `chat-1` to `chat-count`, every one with a message at a time of its own.
    pub async fn fill(&self, from: usize, to: usize) {
        let sql = format!(
            "insert into chats (id, jid, name, metadata, created_at, last_message_at) \
             select 'chat-' || n, n || '@s.whatsapp.net', 'Chat ' || n, '{{}}', \
             now() - n * interval '1 second', now() - n * interval '1 second' \
             from generate_series({from}, {to}) n; analyze chats"
        );
        self.database.execute(&sql).await;
    }
}

/// What the turns came to.
fn median(mut found: Vec<f64>) -> f64 {
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}

#[tokio::main]
async fn main() {
    let whole = std::env::args().any(|argument| argument == "--bench");
    let scale = match whole {
        true => Scale { lasting: Duration::from_secs(10), rows: 1 },
        false => Scale { lasting: Duration::from_millis(500), rows: 1_000 },
    };
    let named: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    if wanted("sending") {
        sending::postgres(scale).await;
        sending::sqlite(scale).await;
    }
    if wanted("listing") {
        listing::pages(scale).await;
    }
    if wanted("streams") {
        streams::live(scale).await;
        streams::idle(scale).await;
    }
    if wanted("import") {
        import::rows(scale).await;
    }
}
