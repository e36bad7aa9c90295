//! Ten minutes of load on two replicas, NATS, bots and schedules, in which one process at a time is
//! killed and started again: every acknowledged message is there once, every subscriber saw each
//! once and in order, each run was sent once. Anything else is told as a fault, and fails it.
//!
//! ```sh
//! cargo build --release --bins
//! TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo bench -p stack --bench soak
//! cargo bench -p stack --bench soak -- --seconds 60 --seed 7
//! ```
//!
//! nats-server is to be installed. What the services log goes to standard error.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]

#[expect(dead_code, reason = "other benchmarks use the rest")]
mod figures;
#[path = "../tests/it/services.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod services;
#[path = "../tests/soak/mod.rs"]
mod soak;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use testing::Backend;

/// How it is run.
#[derive(Parser)]
struct Args {
    /// How long processes are killed. Ten minutes, or a few seconds where `cargo test --benches` only wants
    /// to see that it runs.
    #[arg(long)]
    seconds: Option<u64>,
    /// Decides what is said, and who is killed when.
    #[arg(long, default_value_t = 5)]
    seed: u64,
    /// On SQLite, with its one replica.
    #[arg(long)]
    sqlite: bool,
    /// As cargo bench says it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let seconds = args.seconds.unwrap_or(if args.bench { 600 } else { 5 });
    let report = soak::run(soak::Plan {
        backend: if args.sqlite { Backend::Sqlite } else { Backend::Postgres },
        lasting: Duration::from_secs(seconds),
        seed: args.seed,
        rest: Duration::from_secs(1)..Duration::from_secs(5),
    })
    .await;
    print!("{report}");
    if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
