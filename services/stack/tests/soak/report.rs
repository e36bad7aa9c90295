//! The printed report.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use super::{
    Plan,
    bots::WorkerReport,
    check::Counts,
    disruptions::{Disruptions, Target},
    schedules::SchedulerReport,
    settle::SettleReport,
    subscribers::Subscriber,
    violations::Violations,
    writers::WriterReport,
};
use crate::figures::Spread;

/// How long after the recovery of a process a pause is still attributed to its disruption.
const RECOVERY_TIME: Duration = Duration::from_secs(1);

pub struct Report {
    pub plan: Plan,
    pub written: Vec<WriterReport>,
    pub scheduled: SchedulerReport,
    pub worked: Vec<WorkerReport>,
    pub subscribers: Vec<Arc<Subscriber>>,
    pub disruptions: Disruptions,
    pub settled: SettleReport,
    pub counts: Counts,
    /// The replicas' resident memory before and after, in MiB.
    pub memory: [Vec<f64>; 2],
    pub violations: Violations,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { backend, duration, seed, .. } = &self.plan;
        writeln!(f, "soak on {backend:?} for {duration:?}, seed {seed}")?;
        self.disruptions(f)?;
        self.messages(f)?;
        self.seen(f)?;
        self.runs(f)?;
        self.answers(f)?;
        self.memory(f)?;
        let Counts { warnings, errors, .. } = &self.counts;
        writeln!(f, "logs: {warnings} warnings, {errors} errors")?;
        writeln!(f, "settled within {:.1} s", self.settled.took.as_secs_f64())?;
        write!(f, "{}", self.violations)
    }
}

impl Report {
    fn disruptions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut acknowledged: Vec<SystemTime> = self
            .written
            .iter()
            .flat_map(|one| &one.acknowledged)
            .map(|sent| sent.acknowledged_at)
            .collect();
        acknowledged.sort();
        let mut each: BTreeMap<Target, (usize, usize, Duration)> = BTreeMap::new();
        for disruption in &self.disruptions.all {
            let (all, graceful, longest) = each.entry(disruption.target).or_default();
            *all += 1;
            *graceful += usize::from(disruption.is_graceful);
            *longest = pause(&acknowledged, disruption.at, disruption.recovered_at + RECOVERY_TIME)
                .max(*longest);
        }
        for (target, (all, graceful, longest)) in each {
            writeln!(
                f,
                "{target}: {all} disruptions, {graceful} by SIGTERM; \
                 longest pause without an acknowledgement: {} ms",
                longest.as_millis()
            )?;
        }
        Ok(())
    }

    fn messages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.written.iter().map(|one| one.acknowledged.len()).sum();
        let repeated: usize = self.written.iter().map(|one| one.repeated).sum();
        let mut retries: BTreeMap<&str, usize> = BTreeMap::new();
        for (why, count) in self.written.iter().flat_map(|one| &one.retries) {
            *retries.entry(why).or_default() += count;
        }
        let rate = count as f64 / self.plan.duration.as_secs_f64();
        let writers = self.written.len();
        let sum: usize = retries.values().sum();
        write!(f, "{count} messages acknowledged by {writers} writers, {rate:.0} a second; ")?;
        writeln!(f, "{repeated} repeated sends; {sum} retries: {retries:?}")
    }

    fn seen(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent: HashMap<Uuid, (SystemTime, SystemTime)> = self
            .written
            .iter()
            .flat_map(|one| &one.acknowledged)
            .map(|one| (one.id, (one.sent_at, one.acknowledged_at)))
            .collect();
        let (mut from_sent, mut from_acknowledged) = (Spread::default(), Spread::default());
        let (mut deliveries, mut resumed) = (0, 0);
        for subscriber in &self.subscribers {
            let seen = subscriber.seen.lock().unwrap();
            deliveries += seen.len();
            resumed += subscriber.resumptions.load(Ordering::Relaxed);
            for seen in seen.iter() {
                if let Some((sent, acknowledged)) = sent.get(&seen.id) {
                    from_sent.add(*sent, seen.at.max(*sent));
                    from_acknowledged.add(*acknowledged, seen.at.max(*acknowledged));
                }
            }
        }
        let count = self.subscribers.len();
        writeln!(
            f,
            "{count} subscribers received {deliveries} messages and resumed {resumed} times"
        )?;
        writeln!(f, "from acknowledgement to subscriber: {from_acknowledged}")?;
        writeln!(f, "from sending, retries included, to subscriber: {from_sent}")
    }

    fn runs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = &self.counts.runs;
        writeln!(
            f,
            "{} schedules once and {} crons: {} runs due, {} sent, {} missed; {} manual runs, {} \
             acknowledged",
            runs.once,
            runs.cron,
            runs.due,
            runs.sent,
            runs.missed,
            runs.manual,
            self.scheduled.manual_runs.len()
        )?;
        let mut late = Spread::default();
        for seen in self.subscribers[0].seen.lock().unwrap().iter() {
            if let Some(due) = runs.when.get(&seen.id) {
                late.add(*due, seen.at);
            }
        }
        writeln!(f, "from a run's due time to a subscriber: {late}")
    }

    fn answers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = &self.counts.pairs;
        let sum = |of: fn(&WorkerReport) -> usize| self.worked.iter().map(of).sum::<usize>();
        writeln!(
            f,
            "{} deliveries: {} answered, {} parked that always fail, {} parked by chance {:?}",
            pairs.all,
            pairs.answered,
            pairs.failing,
            pairs.unlucky.len(),
            pairs.unlucky
        )?;
        writeln!(
            f,
            "delivered {} times, {} of them again; {} failures, {} expired leases; the streams of {} \
             workers ended {} times",
            sum(|one| one.delivered),
            sum(|one| one.redelivered),
            sum(|one| one.failed),
            sum(|one| one.ignored),
            self.worked.len(),
            sum(|one| one.broken)
        )
    }

    fn memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = &self.memory;
        for (number, (before, after)) in before.iter().zip(after).enumerate() {
            let each = self.disruptions.memory.iter().map(|memory| memory[number]);
            let most = each.fold(after.max(*before), f64::max);
            writeln!(
                f,
                "replica {}: {before:.0} MiB resident before, {after:.0} after, {most:.0} at most",
                number + 1
            )?;
        }
        Ok(())
    }
}

/// The longest time without an acknowledgement that touches a span.
fn pause(acknowledged: &[SystemTime], from: SystemTime, to: SystemTime) -> Duration {
    let first = acknowledged.partition_point(|at| *at < from).saturating_sub(1);
    let last = acknowledged.partition_point(|at| *at <= to);
    let pauses = acknowledged[first..].windows(2).take(last - first);
    pauses.map(|two| two[1].duration_since(two[0]).unwrap()).max().unwrap_or_default()
}
