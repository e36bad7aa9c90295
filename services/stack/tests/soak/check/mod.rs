//! The verdict: what is stored is held against what each was told and saw.

mod answers;
mod messages;
mod runs;

use std::sync::Arc;

use super::{
    bots::Worked, disturb::Disturbed, faults::Faults, schedules::Scheduled, settle::Settled,
    stage::Stage, stored::Stored, subscribers::Subscriber, world::World, writers::Written,
};
pub use answers::Pairs;
pub use runs::Runs;

/// What it is held against.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub stage: &'a Stage,
    pub stored: &'a Stored,
    pub settled: &'a Settled,
}

/// What everybody did.
pub struct Acted<'a> {
    pub written: &'a [Written],
    pub subscribers: &'a [Arc<Subscriber>],
    pub worked: &'a [Worked],
    pub scheduled: &'a Scheduled,
    pub disturbed: &'a Disturbed,
}

/// What was counted on the way.
pub struct Counts {
    pub pairs: Pairs,
    pub runs: Runs,
    /// Lines of the services' logs that warn, and that tell of an error.
    pub warnings: usize,
    pub errors: usize,
}

/// Holds one against the other.
pub async fn check(known: Known<'_>, acted: &Acted<'_>, world: &World) -> (Counts, Faults) {
    let mut faults = Faults::default();
    if let Some(left) = &known.settled.left {
        faults.add("it did not settle", left);
    }
    told(acted, &mut faults);
    messages::stored(known, acted.written, &mut faults);
    messages::seen(known, acted.subscribers, &mut faults);
    messages::cursors(known, acted.written, &mut faults).await;
    let pairs = answers::check(known, &mut faults);
    let runs = runs::check(known, acted.scheduled, &mut faults);
    let (warnings, errors) = logs(world, &mut faults);
    (Counts { pairs, runs, warnings, errors }, faults)
}

/// What somebody found wrong at once.
fn told(acted: &Acted<'_>, faults: &mut Faults) {
    let mut all = |kind, found: &[String]| found.iter().for_each(|fault| faults.add(kind, fault));
    for written in acted.written {
        all("a message was refused, or answered otherwise when it was sent again", &written.faults);
    }
    for subscriber in acted.subscribers {
        all("a subscription was refused", &subscriber.faults.lock().unwrap());
    }
    for worked in acted.worked {
        all("a worker was refused", &worked.faults);
    }
    all("a schedule was refused", &acted.scheduled.faults);
    all("a process did not end well", &acted.disturbed.faults);
}

fn logs(world: &World, faults: &mut Faults) -> (usize, usize) {
    let (mut warnings, mut errors) = (0, 0);
    for process in world.replicas.iter().chain([&world.schema]) {
        for line in process.history() {
            faults.unless(!line.contains("panicked at"), "a panic", &line);
            warnings += usize::from(line.contains("WARN"));
            errors += usize::from(line.contains("ERROR"));
        }
    }
    (warnings, errors)
}
