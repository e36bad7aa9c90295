//! One process at a time is killed, or asked to end, and started again.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rand::{RngExt as _, rngs::StdRng, seq::SliceRandom as _};
use testing::Backend;
use tokio::{sync::Notify, time::sleep};

use super::{Plan, stage::Stage, world::World};

/// How long a process stays away, at most.
const AWAY: Duration = Duration::from_millis(1_500);

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Victim {
    Replica(usize),
    Nats,
    Schema,
    /// A bot's worker, whose connection is cut.
    Worker,
    /// All of the services' connections to PostgreSQL.
    Connections,
}

/// What was done to it.
pub struct Blow {
    pub victim: Victim,
    /// SIGTERM, not SIGKILL.
    pub gently: bool,
    pub at: SystemTime,
    /// When it was there again.
    pub back: SystemTime,
}

/// All that was done.
#[derive(Default)]
pub struct Disturbed {
    pub blows: Vec<Blow>,
    /// The replicas' resident memory after each, in MiB.
    pub memory: Vec<Vec<f64>>,
    pub faults: Vec<String>,
}

/// Goes on for as long as the plan says: everybody's turn comes in each round.
pub async fn disturb(
    world: &mut World,
    stage: &Stage,
    cuts: &[Arc<Notify>],
    plan: &Plan,
) -> Disturbed {
    let mut random = stage.random("disturb", 0);
    let mut disturbed = Disturbed::default();
    let started = Instant::now();
    let mut round = Vec::new();
    loop {
        let rest = random.random_range(plan.rest.clone());
        let left = plan.lasting.saturating_sub(started.elapsed());
        sleep(rest.min(left)).await;
        if rest >= left {
            return disturbed;
        }
        disturbed.memory.push(world.memory());
        if round.is_empty() {
            round = victims(world);
            round.shuffle(&mut random);
        }
        let Some(victim) = round.pop() else { return disturbed };
        let has_signals = matches!(victim, Victim::Replica(_) | Victim::Schema);
        let gently = random.random_ratio(1, 4) && has_signals;
        let away = random.random_range(Duration::ZERO..AWAY);
        let at = SystemTime::now();
        if let Err(fault) = blow(world, cuts, &mut random, victim, gently, away).await {
            disturbed.faults.push(fault);
        }
        disturbed.blows.push(Blow { victim, gently, at, back: SystemTime::now() });
    }
}

fn victims(world: &World) -> Vec<Victim> {
    let mut victims = vec![Victim::Schema, Victim::Worker];
    for _ in 0..2 {
        victims.extend((0..world.replicas.len()).map(Victim::Replica));
    }
    if world.backend == Backend::Postgres {
        victims.extend([Victim::Nats, Victim::Connections]);
    }
    victims
}

async fn blow(
    world: &mut World,
    cuts: &[Arc<Notify>],
    random: &mut StdRng,
    victim: Victim,
    gently: bool,
    away: Duration,
) -> Result<(), String> {
    let process = match victim {
        Victim::Replica(number) => Some(&mut world.replicas[number]),
        Victim::Schema => Some(&mut world.schema),
        _ => None,
    };
    if let Some(process) = process {
        if gently {
            let status = process.terminate().await;
            if !status.success() {
                return Err(format!("{victim} ended with {status}"));
            }
        } else {
            process.kill().await;
        }
    }
    match victim {
        Victim::Replica(number) => world.restart(number, away).await,
        Victim::Schema => {
            sleep(away).await;
            world.schema.restart();
            world.schema.address("schema").await;
        }
        Victim::Nats => {
            let nats = world.nats.as_mut().unwrap();
            nats.kill().await;
            sleep(away).await;
            nats.restart().await;
        }
        Victim::Worker => cuts[random.random_range(0..cuts.len())].notify_one(),
        Victim::Connections => {
            let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                       where datname = current_database() and pid <> pg_backend_pid()";
            world.database.column(all).await;
        }
    }
    Ok(())
}

impl fmt::Display for Victim {
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
