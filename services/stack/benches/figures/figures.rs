//! Shared by the benchmarks: when a step was committed, resident memory, distributions of times.

use std::{
    fmt, fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use testing::{Backend, Process, TestDatabase};

/// The number of rounds, or a small one without --bench, when `cargo test --benches` only checks
/// that it runs.
pub fn rounds(figure: usize) -> usize {
    if std::env::args().any(|argument| argument == "--bench") { figure } else { 2 }
}

/// When the newest step was committed, from its row in the ledger. The database must use this
/// machine's clock. The row is the last write before COMMIT, so a duration from this time includes
/// the COMMIT.
pub async fn committed(backend: Backend, database: &TestDatabase) -> SystemTime {
    let micros = match backend {
        Backend::Postgres => "(extract(epoch from committed_at) * 1000000)::bigint",
        Backend::Sqlite => {
            "strftime('%s', committed_at) * 1000000 + cast(substr(committed_at, 21) as integer)"
        }
    };
    let newest = format!("select {micros} from schemagate_steps order by id desc limit 1");
    let found = database.column(&newest).await.into_iter().flatten().next().unwrap();
    UNIX_EPOCH + Duration::from_micros(found.parse().unwrap())
}

/// `VmRSS` of a process, in MiB.
pub fn resident(process: &Process) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib / 1024.0
}

/// Durations, printed as `p50 1.2 ms, p99 3.4 ms, max 5.6 ms of 200`.
#[derive(Default)]
pub struct Spread(Vec<Duration>);

impl Spread {
    pub fn add(&mut self, from: SystemTime, to: SystemTime) {
        self.0.push(to.duration_since(from).unwrap());
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort();
        let last = sorted.len() - 1;
        let at = |share: usize| sorted[(sorted.len() * share / 100).min(last)].as_secs_f64() * 1e3;
        let max = sorted[last].as_secs_f64() * 1e3;
        let count = sorted.len();
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, max {max:.1} ms of {count}", at(50), at(99))
    }
}
