//! Kills or terminates one process at a time, and starts it again.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rand::{RngExt as _, rngs::StdRng, seq::SliceRandom as _};
use testing::Backend;
use tokio::{sync::Notify, time::sleep};

use super::{Plan, cluster::Cluster, setup::Setup};

const MAX_DOWNTIME: Duration = Duration::from_millis(1_500);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Target {
    Replica(usize),
    Nats,
    Schema,
    /// A bot's worker, whose connection is cut.
    Worker,
    /// All connections of the services to PostgreSQL.
    Connections,
}

pub struct Disruption {
    pub target: Target,
    /// SIGTERM in place of SIGKILL.
    pub is_graceful: bool,
    pub at: SystemTime,
    /// When the process served again.
    pub recovered_at: SystemTime,
}

#[derive(Default)]
pub struct Disruptions {
    pub all: Vec<Disruption>,
    /// The replicas' resident memory before each, in MiB.
    pub memory: Vec<Vec<f64>>,
    pub faults: Vec<String>,
}

/// Disrupts for the duration of the plan: every target once in each round.
pub async fn disrupt(
    cluster: &mut Cluster,
    setup: &Setup,
    cuts: &[Arc<Notify>],
    plan: &Plan,
) -> Disruptions {
    let mut random = setup.random("disruptions", 0);
    let mut disruptions = Disruptions::default();
    let started = Instant::now();
    let mut round = Vec::new();
    loop {
        let rest = random.random_range(plan.pause.clone());
        let left = plan.duration.saturating_sub(started.elapsed());
        sleep(rest.min(left)).await;
        if rest >= left {
            return disruptions;
        }
        disruptions.memory.push(cluster.memory());
        if round.is_empty() {
            round = targets(cluster);
            round.shuffle(&mut random);
        }
        let Some(target) = round.pop() else { return disruptions };
        let has_signals = matches!(target, Target::Replica(_) | Target::Schema);
        let is_graceful = random.random_ratio(1, 4) && has_signals;
        let downtime = random.random_range(Duration::ZERO..MAX_DOWNTIME);
        let at = SystemTime::now();
        if let Err(fault) =
            disrupt_once(cluster, cuts, &mut random, target, is_graceful, downtime).await
        {
            disruptions.faults.push(fault);
        }
        let recovered_at = SystemTime::now();
        disruptions.all.push(Disruption { target, is_graceful, at, recovered_at });
    }
}

fn targets(cluster: &Cluster) -> Vec<Target> {
    let mut targets = vec![Target::Schema, Target::Worker];
    for _ in 0..2 {
        targets.extend((0..cluster.replicas.len()).map(Target::Replica));
    }
    if cluster.backend == Backend::Postgres {
        targets.extend([Target::Nats, Target::Connections]);
    }
    targets
}

async fn disrupt_once(
    cluster: &mut Cluster,
    cuts: &[Arc<Notify>],
    random: &mut StdRng,
    target: Target,
    is_graceful: bool,
    downtime: Duration,
) -> Result<(), String> {
    let process = match target {
        Target::Replica(number) => Some(&mut cluster.replicas[number]),
        Target::Schema => Some(&mut cluster.schema),
        _ => None,
    };
    if let Some(process) = process {
        if is_graceful {
            let status = process.terminate().await;
            if !status.success() {
                return Err(format!("{target} ended with {status}"));
            }
        } else {
            process.kill().await;
        }
    }
    match target {
        Target::Replica(number) => cluster.restart(number, downtime).await,
        Target::Schema => {
            sleep(downtime).await;
            cluster.schema.restart();
            cluster.schema.address("schema").await;
        }
        Target::Nats => {
            let nats = cluster.nats.as_mut().unwrap();
            nats.kill().await;
            sleep(downtime).await;
            nats.restart().await;
        }
        Target::Worker => cuts[random.random_range(0..cuts.len())].notify_one(),
        Target::Connections => {
            let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                       where datname = current_database() and pid <> pg_backend_pid()";
            cluster.database.column(all).await;
        }
    }
    Ok(())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(number) => write!(f, "replica {}", number + 1),
            Self::Nats => f.write_str("NATS"),
            Self::Schema => f.write_str("the schema service"),
            Self::Worker => f.write_str("a worker's connection"),
            Self::Connections => f.write_str("all connections to PostgreSQL"),
        }
    }
}
