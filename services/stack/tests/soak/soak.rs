//! A soak test: writers, subscribers, bots and schedules work at every replica while one process at
//! a time is killed and restarted. Then what is stored is compared with what each of them was
//! acknowledged and received.
//!
//! The seed determines the load and the disruptions, but not how the processes interleave.

mod bots;
mod check;
mod cluster;
mod disruptions;
mod replicas;
mod report;
mod schedules;
mod settle;
mod setup;
mod stored;
mod subscribers;
mod violations;
mod writers;

use std::{ops::Range, sync::Arc, time::Duration};

use testing::Backend;
use tokio::task::JoinSet;

use check::{Known, Observed};
use cluster::Cluster;
pub use report::Report;
use setup::Setup;
use stored::Stored;
use subscribers::Subscriber;

#[derive(Clone, Debug)]
pub struct Plan {
    /// PostgreSQL with two replicas and NATS, or SQLite with one replica.
    pub backend: Backend,
    /// How long processes are disrupted.
    pub duration: Duration,
    pub seed: u64,
    /// Pause between two disruptions.
    pub pause: Range<Duration>,
}

pub async fn run(plan: Plan) -> Report {
    let mut cluster = Cluster::start(plan.backend).await;
    let setup = Arc::new(Setup::create(&cluster, plan.seed).await);
    let before = cluster.memory();

    let mut writing = JoinSet::new();
    (0..writers::WRITERS)
        .for_each(|number| drop(writing.spawn(writers::write(setup.clone(), number))));
    let scheduling = tokio::spawn(schedules::schedule(setup.clone()));
    let mut working = JoinSet::new();
    let mut cuts = Vec::new();
    for number in 0..setup.bots.len() * bots::WORKERS {
        cuts.push(Arc::default());
        working.spawn(bots::work(setup.clone(), number, Arc::clone(&cuts[number])));
    }
    let subscribers = Subscriber::all(&setup);
    let mut listening = JoinSet::new();
    for (number, subscriber) in subscribers.iter().enumerate() {
        listening.spawn(Arc::clone(subscriber).listen(setup.clone(), number));
    }

    let disruptions = disruptions::disrupt(&mut cluster, &setup, &cuts, &plan).await;
    setup.stopping.cancel();
    let written = writing.join_all().await;
    let scheduled = scheduling.await.unwrap();
    let settled = settle::settle(&cluster, &setup, &subscribers).await;
    setup.ending.cancel();
    let worked = working.join_all().await;
    listening.join_all().await;

    let memory = [before, cluster.memory()];
    let stored = Stored::read(&cluster, &setup).await;
    let known = Known { setup: &setup, stored: &stored, settled: &settled };
    let observed = Observed {
        written: &written,
        subscribers: &subscribers,
        worked: &worked,
        scheduled: &scheduled,
        disruptions: &disruptions,
    };
    let (counts, violations) = check::check(known, &observed, &cluster).await;
    Report {
        plan,
        written,
        scheduled,
        worked,
        subscribers,
        disruptions,
        settled,
        counts,
        memory,
        violations,
    }
}
