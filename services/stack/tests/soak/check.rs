//! Compares what is stored with what each task was acknowledged and received.

mod answers;
mod messages;
mod runs;

use std::sync::Arc;

use super::{
    bots::WorkerReport, cluster::Cluster, disruptions::Disruptions, schedules::SchedulerReport,
    settle::SettleReport, setup::Setup, stored::Stored, subscribers::Subscriber,
    violations::Violations, writers::WriterReport,
};
pub use answers::Deliveries;
pub use runs::Runs;

/// The stored state.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub setup: &'a Setup,
    pub stored: &'a Stored,
    pub settled: &'a SettleReport,
}

/// What each task did and received.
pub struct Observed<'a> {
    pub written: &'a [WriterReport],
    pub subscribers: &'a [Arc<Subscriber>],
    pub worked: &'a [WorkerReport],
    pub scheduled: &'a SchedulerReport,
    pub disruptions: &'a Disruptions,
}

pub struct Counts {
    pub pairs: Deliveries,
    pub runs: Runs,
    /// Log lines of the services at these levels.
    pub warnings: usize,
    pub errors: usize,
}

pub async fn check(
    known: Known<'_>,
    observed: &Observed<'_>,
    cluster: &Cluster,
) -> (Counts, Violations) {
    let mut violations = Violations::default();
    if let Some(unsettled) = &known.settled.unsettled {
        violations.add("work was not finished in time", unsettled);
    }
    reported(observed, &mut violations);
    messages::stored(known, observed.written, &mut violations);
    messages::seen(known, observed.subscribers, &mut violations);
    messages::cursors(known, observed.written, &mut violations).await;
    let pairs = answers::check(known, &mut violations);
    let runs = runs::check(known, observed.scheduled, &mut violations);
    let (warnings, errors) = logs(cluster, &mut violations);
    (Counts { pairs, runs, warnings, errors }, violations)
}

/// Violations that the tasks found themselves.
fn reported(observed: &Observed<'_>, violations: &mut Violations) {
    let mut all =
        |kind, found: &[String]| found.iter().for_each(|fault| violations.add(kind, fault));
    for written in observed.written {
        all("a message was refused, or a repeated send returned another message", &written.faults);
    }
    for subscriber in observed.subscribers {
        all("a subscription was refused", &subscriber.faults.lock().unwrap());
    }
    for worked in observed.worked {
        all("a worker was refused", &worked.faults);
    }
    all("a schedule was refused", &observed.scheduled.faults);
    all("a process did not exit with success", &observed.disruptions.faults);
}

fn logs(cluster: &Cluster, violations: &mut Violations) -> (usize, usize) {
    let (mut warnings, mut errors) = (0, 0);
    for process in cluster.replicas.iter().chain([&cluster.schema]) {
        for line in process.history() {
            violations.unless(!line.contains("panicked at"), "a panic", &line);
            warnings += usize::from(line.contains("WARN"));
            errors += usize::from(line.contains("ERROR"));
        }
    }
    (warnings, errors)
}
