//! How soon a gate follows its schema, with the real services: from the commit of an Upgrade's last
//! step to the first ListChats that is served, and from a Downgrade's commit to the first that is
//! refused. The promise is 50 ms at p99, on both databases.
//!
//! ```sh
//! cargo build --release --bins
//! TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo bench -p stack --bench prompt
//! ```
//!
//! A caller calls again and again, with a millisecond in between, from before the Upgrade or the
//! Downgrade on: what is counted goes up to its having the answer in hand. `told` is when the
//! schema service's Watch said that the schema is at head, or below: the rest is the gate's.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]

#[expect(dead_code, reason = "other benchmarks use the rest")]
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

/// Between one call and the next: a caller that left no time would take it from the services.
const PAUSE: Duration = Duration::from_millis(1);

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

    let [mut told_down, mut refused, mut told_up, mut served] =
        std::array::from_fn(|_| Spread::default());
    for _ in 0..rounds {
        let (moved, told, answered) =
            tokio::join!(downgrade(schema, "-1"), heard(schema, false), first(&mut caller, false));
        moved.unwrap();
        let committed = figures::committed(backend, &database).await;
        told_down.add(committed, told);
        refused.add(committed, answered);

        let (moved, told, answered) =
            tokio::join!(upgrade(schema, "head"), heard(schema, true), first(&mut caller, true));
        moved.unwrap();
        let committed = figures::committed(backend, &database).await;
        told_up.add(committed, told);
        served.add(committed, answered);
    }
    println!("{backend:?}: Upgrade's commit to the first served: {served} (told: {told_up})");
    println!("{backend:?}: Downgrade's commit to the first refused: {refused} (told: {told_down})");
}

/// When the first call is served, or refused, as `wanted`.
async fn first(caller: &mut ChatServiceClient<Channel>, wanted: bool) -> SystemTime {
    loop {
        match caller.list_chats(ListChatsRequest::default()).await {
            Ok(_) if wanted => return SystemTime::now(),
            Err(status) if status.code() != Code::Unavailable => panic!("{status:?}"),
            Err(_) if !wanted => return SystemTime::now(),
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// When Watch says that the schema is at head, or has a revision pending.
async fn heard(schema: SocketAddr, at_head: bool) -> SystemTime {
    let mut client = SchemaServiceClient::new(channel(schema));
    let mut states = client.watch(WatchRequest::default()).await.unwrap().into_inner();
    let is_it = |state: &SchemaState| match at_head {
        true => state.at_head,
        false => !state.pending.is_empty(),
    };
    while !is_it(&states.message().await.unwrap().unwrap().state.unwrap()) {}
    SystemTime::now()
}
