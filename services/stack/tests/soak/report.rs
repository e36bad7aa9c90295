//! The figures.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use super::{
    Plan,
    bots::Worked,
    check::Counts,
    disturb::{Disturbed, Victim},
    faults::Faults,
    schedules::Scheduled,
    settle::Settled,
    subscribers::Subscriber,
    writers::Written,
};
use crate::figures::Spread;

/// How long after a process is there again a pause still counts as its doing.
const AFTERMATH: Duration = Duration::from_secs(1);

/// What the soak came to.
pub struct Report {
    pub plan: Plan,
    pub written: Vec<Written>,
    pub scheduled: Scheduled,
    pub worked: Vec<Worked>,
    pub subscribers: Vec<Arc<Subscriber>>,
    pub disturbed: Disturbed,
    pub settled: Settled,
    pub counts: Counts,
    /// The replicas' resident memory before and after, in MiB.
    pub memory: [Vec<f64>; 2],
    /// What should not have been.
    pub faults: Faults,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { backend, lasting, seed, .. } = &self.plan;
        writeln!(f, "soak on {backend:?} for {lasting:?}, seed {seed}")?;
        self.blows(f)?;
        self.messages(f)?;
        self.seen(f)?;
        self.runs(f)?;
        self.answers(f)?;
        self.memory(f)?;
        let Counts { warnings, errors, .. } = &self.counts;
        writeln!(f, "logs: {warnings} warnings, {errors} errors")?;
        writeln!(f, "settled within {:.1} s", self.settled.took.as_secs_f64())?;
        write!(f, "{}", self.faults)
    }
}

impl Report {
    fn blows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut acknowledged: Vec<SystemTime> =
            self.written.iter().flat_map(|one| &one.acknowledged).map(|sent| sent.at).collect();
        acknowledged.sort();
        let mut each: BTreeMap<Victim, (usize, usize, Duration)> = BTreeMap::new();
        for blow in &self.disturbed.blows {
            let (all, gently, longest) = each.entry(blow.victim).or_default();
            *all += 1;
            *gently += usize::from(blow.gently);
            *longest = pause(&acknowledged, blow.at, blow.back + AFTERMATH).max(*longest);
        }
        for (victim, (all, gently, longest)) in each {
            writeln!(
                f,
                "cut off {all} times, {gently} of them by SIGTERM: {victim}; \
                 longest without an acknowledgement: {} ms",
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
        let rate = count as f64 / self.plan.lasting.as_secs_f64();
        let writers = self.written.len();
        let sum: usize = retries.values().sum();
        write!(f, "{count} messages acknowledged by {writers} writers, {rate:.0} a second; ")?;
        writeln!(f, "{repeated} sent again and told the same; {sum} retries: {retries:?}")
    }

    fn seen(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent: HashMap<Uuid, (SystemTime, SystemTime)> = self
            .written
            .iter()
            .flat_map(|one| &one.acknowledged)
            .map(|one| (one.id, (one.sent, one.at)))
            .collect();
        let (mut from_sent, mut from_told) = (Spread::default(), Spread::default());
        let (mut deliveries, mut resumed) = (0, 0);
        for subscriber in &self.subscribers {
            let seen = subscriber.seen.lock().unwrap();
            deliveries += seen.len();
            resumed += subscriber.resumed.load(Ordering::Relaxed);
            for seen in seen.iter() {
                if let Some((sent, told)) = sent.get(&seen.id) {
                    from_sent.add(*sent, seen.at.max(*sent));
                    from_told.add(*told, seen.at.max(*told));
                }
            }
        }
        let count = self.subscribers.len();
        writeln!(f, "{count} subscribers saw {deliveries} messages and went on {resumed} times")?;
        writeln!(f, "from acknowledgement to subscriber: {from_told}")?;
        writeln!(f, "from sending, retries included, to subscriber: {from_sent}")
    }

    fn runs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = &self.counts.runs;
        writeln!(
            f,
            "{} schedules once and {} crons: {} runs due, {} sent, {} missed; {} out of turn, of \
             which {} were told",
            runs.once,
            runs.cron,
            runs.due,
            runs.sent,
            runs.missed,
            runs.out_of_turn,
            self.scheduled.ran.len()
        )?;
        let mut late = Spread::default();
        for seen in self.subscribers[0].seen.lock().unwrap().iter() {
            if let Some(due) = runs.when.get(&seen.id) {
                late.add(*due, seen.at);
            }
        }
        writeln!(f, "from when a run was due to a subscriber: {late}")
    }

    fn answers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = &self.counts.pairs;
        let sum = |of: fn(&Worked) -> usize| self.worked.iter().map(of).sum::<usize>();
        writeln!(
            f,
            "{} messages for bots: {} answered, {} parked that were to be, {} by chance {:?}",
            pairs.all,
            pairs.answered,
            pairs.poisoned,
            pairs.unlucky.len(),
            pairs.unlucky
        )?;
        writeln!(
            f,
            "handed out {} times, {} of them again; {} failures, {} left to their lease; {} workers' \
             streams ended {} times",
            sum(|one| one.handed),
            sum(|one| one.again),
            sum(|one| one.failed),
            sum(|one| one.silent),
            self.worked.len(),
            sum(|one| one.broken)
        )
    }

    fn memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = &self.memory;
        for (number, (before, after)) in before.iter().zip(after).enumerate() {
            let each = self.disturbed.memory.iter().map(|memory| memory[number]);
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
