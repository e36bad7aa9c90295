//! Ten minutes of load on two replicas, NATS, bots and schedules, while one process at a time is
//! killed and restarted. Every acknowledged message must be stored once, every subscriber must
//! receive each message once and in order, and each run must be sent once. Anything else is printed
//! as a violation and fails the benchmark.
//!
//! ```sh
//! cargo build --release --bins
//! TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:5432/postgres cargo bench -p stack --bench soak
//! cargo bench -p stack --bench soak -- --seconds 60 --seed 7
//! ```
//!
//! Needs nats-server. The services log to standard error.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails panics at the place")]

#[expect(dead_code, reason = "other benchmarks use the rest")]
#[path = "figures/figures.rs"]
mod figures;
#[path = "../tests/it/services.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod services;
#[path = "../tests/soak/soak.rs"]
mod soak;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use testing::Backend;

#[derive(Parser)]
struct Args {
    /// How long processes are killed; default: ten minutes, or five seconds without --bench
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of the load and of the kills
    #[arg(long, default_value_t = 5)]
    seed: u64,
    /// Run on SQLite, with one replica
    #[arg(long)]
    sqlite: bool,
    /// Set by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let seconds = args.seconds.unwrap_or(if args.bench { 600 } else { 5 });
    let report = soak::run(soak::Plan {
        backend: if args.sqlite { Backend::Sqlite } else { Backend::Postgres },
        duration: Duration::from_secs(seconds),
        seed: args.seed,
        pause: Duration::from_secs(1)..Duration::from_secs(5),
    })
    .await;
    print!("{report}");
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
