//! How soon a gate follows its schema, with the real services: from the commit of an Upgrade's last
//! step to the first ListChats that is served, and from a Downgrade's commit to the first that is
//! refused. Promised: 50 ms at p99, on both databases.
//!
//! ```sh
//! cargo build --release --bins
//! TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo bench -p stack --bench prompt
//! ```
//!
//! A client calls every millisecond, starting before the Upgrade or the Downgrade; the time ends
//! when it has the response. `watch` is when the schema service's Watch reported the change: the
//! rest is spent in the gate.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that fails panics at the place"
)]

#[expect(dead_code, reason = "other benchmarks use the rest")]
#[path = "figures/figures.rs"]
mod figures;
#[path = "../tests/it/services.rs"]
mod services;

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use api::{
    chat::v1::{ListChatsRequest, chat_service_client::ChatServiceClient},
    schema::v1::{SchemaState, WatchRequest, schema_service_client::SchemaServiceClient},
};
use figures::Spread;
use testing::{Backend, channel, downgrade, upgrade};
use tonic::{Code, transport::Channel};

const ROUNDS: usize = 200;

/// Between two calls: calls without a pause would take CPU time from the services.
const CALL_INTERVAL: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() {
    for backend in [Backend::Postgres, Backend::Sqlite] {
        follow(backend, figures::rounds(ROUNDS)).await;
    }
}

async fn follow(backend: Backend, rounds: usize) {
    let database = backend.empty().await;
    let mut schema = services::schema(&database);
    let schema = schema.address("schema").await;
    upgrade(schema, "head").await.unwrap();
    let mut chat = services::chat(&database, schema);
    let mut caller = ChatServiceClient::new(channel(chat.address("chat").await));
    first(&mut caller, true).await;

    let [mut watched_down, mut refused, mut watched_up, mut served] =
        std::array::from_fn(|_| Spread::default());
    for _ in 0..rounds {
        let (moved, watched, answered) = tokio::join!(
            downgrade(schema, "-1"),
            reported(schema, false),
            first(&mut caller, false)
        );
        moved.unwrap();
        let committed = figures::committed(backend, &database).await;
        watched_down.add(committed, watched);
        refused.add(committed, answered);

        let (moved, watched, answered) =
            tokio::join!(upgrade(schema, "head"), reported(schema, true), first(&mut caller, true));
        moved.unwrap();
        let committed = figures::committed(backend, &database).await;
        watched_up.add(committed, watched);
        served.add(committed, answered);
    }
    println!("{backend:?}: Upgrade's commit to the first served: {served} (watch: {watched_up})");
    println!(
        "{backend:?}: Downgrade's commit to the first refused: {refused} (watch: {watched_down})"
    );
}

/// When the first call is served (`wanted`) or refused.
async fn first(caller: &mut ChatServiceClient<Channel>, wanted: bool) -> SystemTime {
    loop {
        match caller.list_chats(ListChatsRequest::default()).await {
            Ok(_) if wanted => return SystemTime::now(),
            Err(status) if status.code() != Code::Unavailable => panic!("{status:?}"),
            Err(_) if !wanted => return SystemTime::now(),
            Ok(_) | Err(_) => tokio::time::sleep(CALL_INTERVAL).await,
        }
    }
}

/// When Watch reports that the schema is at head, or that a revision is pending.
async fn reported(schema: SocketAddr, at_head: bool) -> SystemTime {
    let mut client = SchemaServiceClient::new(channel(schema));
    let mut states = client.watch(WatchRequest::default()).await.unwrap().into_inner();
    let is_it = |state: &SchemaState| match at_head {
        true => state.at_head,
        false => !state.pending.is_empty(),
    };
    while !is_it(&states.message().await.unwrap().unwrap().state.unwrap()) {}
    SystemTime::now()
}
