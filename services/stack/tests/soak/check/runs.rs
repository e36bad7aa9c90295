//! Each due run of each schedule was sent once, and no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use api::chat::v1::{Schedule, schedule::When};
use uuid::Uuid;

use super::{Known, Violations};
use crate::soak::{
    schedules::{CRONS, SchedulerReport},
    stored::{Row, Run},
};

/// How far in the past a schedule's next run may be in the end.
const MAX_DELAY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Runs {
    pub once: usize,
    pub cron: usize,
    pub due: usize,
    pub sent: usize,
    pub missed: u64,
    /// Manual runs, including those that were not acknowledged.
    pub manual: usize,
    /// The message of each run, and when it was due.
    pub when: BTreeMap<Uuid, SystemTime>,
}

pub fn check(known: Known<'_>, scheduled: &SchedulerReport, violations: &mut Violations) -> Runs {
    let Known { stored, .. } = known;
    let acknowledged: BTreeSet<Uuid> = scheduled.manual_runs.iter().copied().collect();
    let mut sent: BTreeMap<&str, Vec<(&Row, Run)>> = BTreeMap::new();
    for row in &stored.messages {
        if let Some(run) = row.run {
            sent.entry(row.sender.trim_start_matches("schedule:")).or_default().push((row, run));
        }
    }

    let mut runs = Runs::default();
    let mut unacknowledged = 0;
    let mut found: BTreeSet<Uuid> = BTreeSet::new();
    for schedule in &stored.schedules {
        let all = sent.remove(schedule.id.as_str()).unwrap_or_default();
        let cron = matches!(schedule.when, Some(When::Cron(_)));
        // Only crons are run manually, and not on a whole minute.
        let (manual, due_runs): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, run)| cron && !is_minute(run.at));
        unacknowledged += manual.iter().filter(|(row, _)| !acknowledged.contains(&row.id)).count();
        found.extend(manual.iter().map(|(row, _)| row.id));
        runs.manual += manual.len();
        runs.once += usize::from(!cron);
        runs.cron += usize::from(cron);

        let due = due(schedule, violations);
        let next = schedule.next_run_at.map(system_time);
        // A run may have been sent since the schedules were read.
        let due_runs: Vec<_> =
            due_runs.into_iter().filter(|(_, run)| next.is_none_or(|next| run.at < next)).collect();
        let mut times: Vec<SystemTime> = due_runs.iter().map(|(_, run)| run.at).collect();
        times.sort();
        runs.due += due.len();
        runs.sent += times.len();
        runs.missed += due_runs.iter().map(|(_, run)| run.missed).sum::<u64>();
        runs.when.extend(due_runs.iter().map(|(row, run)| (row.id, run.at)));
        let what = "a schedule's runs were not sent once each";
        violations.unless(due == times, what, format!("{}: {due:?}, sent {times:?}", schedule.id));
    }
    violations.unless(runs.missed == 0, "runs were missed", runs.missed);
    for (id, rows) in sent {
        violations.add("an unknown schedule sent messages", format!("{id}: {}", rows.len()));
    }
    let stored_ids: BTreeSet<&str> = stored.schedules.iter().map(|one| one.id.as_str()).collect();
    for id in scheduled.created.iter().filter(|id| !stored_ids.contains(id.as_str())) {
        violations.add("an acknowledged schedule is not stored", id);
    }
    for id in acknowledged.difference(&found) {
        violations.add("an acknowledged manual run is not stored", id);
    }
    let what = "more manual runs were sent than requested";
    violations.unless(
        unacknowledged <= scheduled.retries,
        what,
        format!("{unacknowledged} of {}", scheduled.retries),
    );
    runs
}

/// The times at which a schedule was due, before its next run.
fn due(schedule: &Schedule, violations: &mut Violations) -> Vec<SystemTime> {
    let next = schedule.next_run_at.map(system_time);
    match schedule.when.as_ref().unwrap() {
        When::Once(at) => {
            violations.unless(
                next.is_none(),
                "a schedule that runs once has a next run",
                &schedule.id,
            );
            vec![system_time(*at)]
        }
        When::Cron(cron) => {
            let Some(next) = next else {
                violations.add("a cron has no next run", &schedule.id);
                return Vec::new();
            };
            let behind = SystemTime::now().duration_since(next).unwrap_or_default();
            violations.unless(
                behind < MAX_DELAY,
                "the next run of a cron is in the past",
                &schedule.id,
            );
            let (_, step) = CRONS.iter().find(|(fields, _)| fields == cron).unwrap();
            let step = step * 60;
            let created = schedule.created_at.unwrap().seconds;
            let first = (created / step + 1) * step;
            (first..seconds(next)).step_by(step as usize).map(moment).collect()
        }
    }
}

fn system_time(time: prost_types::Timestamp) -> SystemTime {
    time.try_into().unwrap()
}

fn moment(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap())
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn is_minute(time: SystemTime) -> bool {
    time == moment(seconds(time)) && seconds(time) % 60 == 0
}
