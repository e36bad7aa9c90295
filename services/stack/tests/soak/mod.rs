//! A soak: writers, subscribers, bots and schedules go on at every replica while one process at a
//! time is killed and started again; then what is stored is held against what each of them was told
//! and saw.
//!
//! The seed decides what is said, by whom, and who is killed when; how the processes interleave it
//! cannot decide.

mod bots;
mod check;
mod disturb;
mod faults;
mod replicas;
mod report;
mod schedules;
mod settle;
mod stage;
mod stored;
mod subscribers;
mod world;
mod writers;

use std::{ops::Range, sync::Arc, time::Duration};

use testing::Backend;
use tokio::task::JoinSet;

use check::{Acted, Known};
pub use report::Report;
use stage::Stage;
use stored::Stored;
use subscribers::Subscriber;
use world::World;

/// What is done, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// PostgreSQL with two replicas and NATS, or SQLite with its one replica.
    pub backend: Backend,
    /// How long processes are killed; at the end all of it settles.
    pub lasting: Duration,
    /// Of what is random.
    pub seed: u64,
    /// Between the return of one process and the end of the next.
    pub rest: Range<Duration>,
}

/// Does it.
pub async fn run(plan: Plan) -> Report {
    let mut world = World::start(plan.backend).await;
    let stage = Arc::new(Stage::set(&world, plan.seed).await);
    let before = world.memory();

    let mut writing = JoinSet::new();
    (0..writers::COUNT)
        .for_each(|number| drop(writing.spawn(writers::write(stage.clone(), number))));
    let scheduling = tokio::spawn(schedules::make(stage.clone()));
    let mut working = JoinSet::new();
    let mut cuts = Vec::new();
    for number in 0..stage.bots.len() * bots::WORKERS {
        cuts.push(Arc::default());
        working.spawn(bots::work(stage.clone(), number, Arc::clone(&cuts[number])));
    }
    let subscribers = Subscriber::all(&stage);
    let mut listening = JoinSet::new();
    for (number, subscriber) in subscribers.iter().enumerate() {
        listening.spawn(Arc::clone(subscriber).listen(stage.clone(), number));
    }

    let disturbed = disturb::disturb(&mut world, &stage, &cuts, &plan).await;
    stage.stopping.cancel();
    let written = writing.join_all().await;
    let scheduled = scheduling.await.unwrap();
    let settled = settle::settle(&world, &stage, &subscribers).await;
    stage.ending.cancel();
    let worked = working.join_all().await;
    listening.join_all().await;

    let memory = [before, world.memory()];
    let stored = Stored::read(&world, &stage).await;
    let known = Known { stage: &stage, stored: &stored, settled: &settled };
    let acted = Acted {
        written: &written,
        subscribers: &subscribers,
        worked: &worked,
        scheduled: &scheduled,
        disturbed: &disturbed,
    };
    let (counts, faults) = check::check(known, &acted, &world).await;
    Report {
        plan,
        written,
        scheduled,
        worked,
        subscribers,
        disturbed,
        settled,
        counts,
        memory,
        faults,
    }
}
