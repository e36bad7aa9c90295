//! pgbench, as the reference for what the PostgreSQL server can do.

use std::{path::Path, process::Command};

use testing::TestDatabase;

use super::Scale;

pub struct Found {
    /// Transactions a second.
    pub rate: f64,
    /// How long one took on average, in milliseconds.
    pub latency: f64,
}

/// Runs a script with prepared statements; none if pgbench is not installed.
pub fn run(database: &TestDatabase, script: &str, clients: usize, scale: Scale) -> Option<Found> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let seconds = scale.lasting.as_secs().max(1);
    let output = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={clients}"))
        .arg(format!("--time={seconds}"))
        .arg(format!("--file={}", path(file.path())))
        .arg(database.url())
        .output()
        .ok()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figure = |name: &str| {
        let line = printed.lines().find(|line| line.starts_with(name)).unwrap();
        let (_, rest) = line.split_once('=').unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    Some(Found { rate: figure("tps"), latency: figure("latency average") })
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
