//! Two hundred dependents that Watch, each on its own connection: how soon a change reaches them,
//! and what they cost the schema service and the database. Promised: a change reaches all of them
//! within 100 ms at p99, on both databases.
//!
//! ```sh
//! cargo build --release --bins
//! TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo bench -p stack --bench crowd
//! ```
//!
//! The dependents are tasks of this process: the time includes reading two hundred responses.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails panics at the place")]

#[path = "figures/figures.rs"]
mod figures;
#[path = "../tests/it/services.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod services;

use std::{fs, net::SocketAddr, time::SystemTime};

use api::schema::v1::{Dependent, WatchRequest, schema_service_client::SchemaServiceClient};
use figures::{Spread, resident};
use testing::{
    Backend, Process, TestDatabase, channel, current, downgrade, eventually, revisions, upgrade,
};
use tokio::{sync::mpsc, task::JoinSet};

const DEPENDENTS: usize = 200;

/// Each is a Downgrade and an Upgrade.
const ROUNDS: usize = 100;

/// A revision that a dependent received, and when.
type Arrival = (String, SystemTime);

#[tokio::main]
async fn main() {
    for backend in [Backend::Postgres, Backend::Sqlite] {
        crowd(backend, figures::rounds(ROUNDS)).await;
    }
}

async fn crowd(backend: Backend, rounds: usize) {
    let database = backend.empty().await;
    let mut process = services::schema(&database);
    let schema = process.address("schema").await;
    upgrade(schema, "head").await.unwrap();
    let alone = resident(&process);

    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let mut dependents = JoinSet::new();
    for number in 0..DEPENDENTS {
        dependents.spawn(watch(schema, number, arrived.clone()));
    }
    eventually("all are registered", async || {
        (current(schema).await.dependents.len() == DEPENDENTS).then_some(())
    })
    .await;

    let revisions = revisions();
    let (head, below) = (&revisions[revisions.len() - 1], &revisions[revisions.len() - 2]);
    arrivals_of(&mut arrivals, head).await;
    let (mut each, mut last) = (Spread::default(), Spread::default());
    for _ in 0..rounds {
        for target in [below, head] {
            let moving = async {
                if target == head {
                    upgrade(schema, target).await.unwrap();
                } else {
                    downgrade(schema, target).await.unwrap();
                }
            };
            let (times, ()) = tokio::join!(arrivals_of(&mut arrivals, target), moving);
            let committed = figures::committed(backend, &database).await;
            times.iter().for_each(|time| each.add(committed, *time));
            last.add(committed, *times.last().unwrap());
        }
    }
    println!("{backend:?}: a change reaches one of {DEPENDENTS} dependents: {each}");
    println!("{backend:?}: a change has reached all of them: {last}");
    println!(
        "{backend:?}: the schema service's resident memory: {alone:.1} MiB before, {:.1} MiB with them; {}",
        resident(&process),
        connections(backend, &process, &database).await
    );
}

/// Watches as a dependent until the benchmark ends.
async fn watch(schema: SocketAddr, number: usize, arrived: mpsc::UnboundedSender<Arrival>) {
    let dependent = Dependent {
        service: "crowd".into(),
        instance: format!("crowd-{number}"),
        requires: "0001".into(),
        built_with: "0001".into(),
        ..Dependent::default()
    };
    let request = WatchRequest { dependent: Some(dependent) };
    let mut client = SchemaServiceClient::new(channel(schema));
    let mut states = client.watch(request).await.unwrap().into_inner();
    let mut known = String::new();
    loop {
        let state = states.message().await.unwrap().unwrap().state.unwrap();
        if state.revision != known {
            known.clone_from(&state.revision);
            let _ = arrived.send((state.revision, SystemTime::now()));
        }
    }
}

/// When each dependent received a revision, in order.
async fn arrivals_of(
    arrivals: &mut mpsc::UnboundedReceiver<Arrival>,
    revision: &str,
) -> Vec<SystemTime> {
    let mut times = Vec::new();
    while times.len() < DEPENDENTS {
        let (received, at) = arrivals.recv().await.unwrap();
        assert_eq!(received, revision);
        times.push(at);
    }
    times.sort();
    times
}

/// The connections or file descriptors of the schema service.
async fn connections(backend: Backend, process: &Process, database: &TestDatabase) -> String {
    match backend {
        Backend::Postgres => {
            let by_name = "select application_name || ' ' || count(*) from pg_stat_activity \
                           where datname = current_database() and pid <> pg_backend_pid() \
                           group by application_name order by 1";
            let found: Vec<String> = database.column(by_name).await.into_iter().flatten().collect();
            format!("connections by application_name: {}", found.join(", "))
        }
        Backend::Sqlite => {
            let file = database.url().trim_start_matches("sqlite:");
            let open = fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap();
            let held = open.filter(|entry| {
                let target = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
                target.is_some_and(|target| target.as_os_str() == file)
            });
            format!("descriptors of the file that are open: {}", held.count())
        }
    }
}
