//! A thousand migrations of one statement each: Upgrade, ledger included, beside the Diesel CLI's
//! `migration run` on the same files, in turn, on the same server. Then Upgrade with nothing to
//! do, and Current under load.
//!
//! ```sh
//! TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo bench -p schema --bench thousand
//! ```
//!
//! `diesel` is looked for on the path: `cargo install diesel_cli --no-default-features --features
//! postgres`, which needs libpq. Without it, only our own time is printed.
#![expect(clippy::unwrap_used, reason = "a failed benchmark panics")]

#[path = "../tests/it/server.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod server;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use api::schema::v1::CurrentRequest;
use futures_util::future::join_all;
use revisions::Metadata;
use sql::Dialect;
use testing::{Backend, TestDatabase};

use server::Server;

const MIGRATIONS: usize = 1_000;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs them too, to see that they run: a small one is enough for that.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let (migrations, rounds) = if quick { (10, 1) } else { (MIGRATIONS, ROUNDS) };
    for (name, statement) in [
        ("a comment each", "comment on schema public is 'N';"),
        ("a table each", "create table tN (n integer);"),
    ] {
        let directory = write(migrations, statement);
        compare(name, directory.path(), migrations, rounds).await;
    }
    at_head(if quick { 10 } else { 1_000 }).await;
}

/// Up and down of each migration, as the Diesel CLI reads them too.
fn write(count: usize, statement: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for number in 1..=count {
        let path = directory.path().join(format!("{number:04}_step"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("up.sql"), statement.replace('N', &number.to_string())).unwrap();
        fs::write(path.join("down.sql"), "select 1;").unwrap();
    }
    directory
}

async fn compare(name: &str, directory: &Path, migrations: usize, rounds: usize) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let database = Backend::Postgres.empty().await;
        ours.push(upgrade(&database, directory).await);
        let database = Backend::Postgres.empty().await;
        theirs.extend(diesel(&database, directory));
    }
    if theirs.is_empty() {
        println!(
            "{migrations} migrations, {name}: Upgrade {:?}; no diesel on the path",
            median(ours)
        );
        return;
    }
    let ratios =
        ours.iter().zip(&theirs).map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64());
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "{migrations} migrations, {name}: Upgrade {:?}, Diesel {:?}, ratio {:.2} ({:.2} to {:.2})",
        median(ours),
        median(theirs),
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    );
}

async fn upgrade(database: &TestDatabase, directory: &Path) -> Duration {
    let revisions = revisions::read(directory, Dialect::Postgres, Metadata::Optional).unwrap();
    let server = Server::holding(database, &revisions).await;
    let started = Instant::now();
    server.upgrade("head").await.unwrap();
    let took = started.elapsed();
    server.stop().await;
    took
}

/// The whole process, as its user waits for it; it does nothing else of note.
fn diesel(database: &TestDatabase, directory: &Path) -> Option<Duration> {
    let started = Instant::now();
    let status = Command::new("diesel")
        .args(["migration", "run", "--database-url", database.url(), "--migration-dir"])
        .arg(directory)
        .stdout(Stdio::null())
        .status();
    let took = started.elapsed();
    assert!(status.as_ref().map_or(true, std::process::ExitStatus::success), "diesel: {status:?}");
    status.is_ok().then_some(took)
}

/// What a schema at head costs those who ask.
async fn at_head(calls: usize) {
    for backend in [Backend::Postgres, Backend::Sqlite] {
        let database = backend.empty().await;
        let server = Server::start(&database).await;
        server.upgrade("head").await.unwrap();
        let mut nothing = Vec::new();
        for _ in 0..20 {
            let started = Instant::now();
            server.upgrade("head").await.unwrap();
            nothing.push(started.elapsed());
        }
        println!("{backend:?}: nothing to do {:?}", median(nothing));

        server.stop().await;
        if backend == Backend::Postgres {
            // A new server's own are the same in both, whatever they are.
            let without = transactions(&database, 0).await;
            let with = transactions(&database, calls).await;
            println!("{backend:?}: {calls} callers of Current at once cost {}", with - without);
        }

        let server = Server::start(&database).await;
        let client = server.client();
        let started = Instant::now();
        let callers = (0..64).map(|_| async {
            let mut client = client.clone();
            let mut took = Vec::new();
            for _ in 0..calls / 10 {
                let started = Instant::now();
                client.current(CurrentRequest {}).await.unwrap();
                took.push(started.elapsed());
            }
            took
        });
        let mut took: Vec<Duration> = join_all(callers).await.concat();
        took.sort();
        println!(
            "{backend:?}: Current, 64 callers: {:.0} calls/s, p50 {:?}, p99 {:?}",
            took.len() as f64 / started.elapsed().as_secs_f64(),
            took[took.len() / 2],
            took[took.len() * 99 / 100]
        );
    }
}

/// The transactions of a server from its start to its end, with one call and then some at once.
/// A connection tells the server's statistics of its own only now and then, and when it ends.
async fn transactions(database: &TestDatabase, calls: usize) -> i64 {
    let count = async || {
        let query = "select xact_commit + xact_rollback from pg_stat_database \
                     where datname = current_database()";
        tokio::time::sleep(Duration::from_secs(1)).await;
        let rows = database.column(query).await;
        rows.into_iter().flatten().next().unwrap().parse::<i64>().unwrap()
    };
    let before = count().await;
    let server = Server::start(database).await;
    let client = server.client();
    let current = async || client.clone().current(CurrentRequest {}).await.unwrap();
    current().await;
    join_all((0..calls).map(|_| current())).await;
    server.stop().await;
    count().await - before
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}
