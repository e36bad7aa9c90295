//! Each run of each schedule was sent once, none was missed, and none that was not due.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use api::chat::v1::{Schedule, schedule::When};
use uuid::Uuid;

use super::{Faults, Known};
use crate::soak::{
    schedules::{CRONS, Scheduled},
    stored::{Row, Run},
};

/// How far behind a schedule may stand when all is over.
const BEHIND: Duration = Duration::from_secs(5);

/// What was due, and what was sent.
#[derive(Default)]
pub struct Runs {
    pub once: usize,
    pub cron: usize,
    pub due: usize,
    pub sent: usize,
    pub missed: u64,
    /// Runs out of turn, those included of which nobody was told.
    pub out_of_turn: usize,
    /// The messages of runs, and when they were due.
    pub when: BTreeMap<Uuid, SystemTime>,
}

/// Holds runs against schedules.
pub fn check(known: Known<'_>, scheduled: &Scheduled, faults: &mut Faults) -> Runs {
    let Known { stored, .. } = known;
    let told: BTreeSet<Uuid> = scheduled.ran.iter().copied().collect();
    let mut sent: BTreeMap<&str, Vec<(&Row, Run)>> = BTreeMap::new();
    for row in &stored.messages {
        if let Some(run) = row.run {
            sent.entry(row.sender.trim_start_matches("schedule:")).or_default().push((row, run));
        }
    }

    let mut runs = Runs::default();
    let mut untold = 0;
    let mut found: BTreeSet<Uuid> = BTreeSet::new();
    for schedule in &stored.schedules {
        let all = sent.remove(schedule.id.as_str()).unwrap_or_default();
        let cron = matches!(schedule.when, Some(When::Cron(_)));
        // Only crons are run out of turn, and never on a whole minute.
        let (of_turn, in_turn): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, run)| cron && !is_minute(run.at));
        untold += of_turn.iter().filter(|(row, _)| !told.contains(&row.id)).count();
        found.extend(of_turn.iter().map(|(row, _)| row.id));
        runs.out_of_turn += of_turn.len();
        runs.once += usize::from(!cron);
        runs.cron += usize::from(cron);

        let due = due(schedule, faults);
        let next = schedule.next_run_at.map(system_time);
        // A run may have come since the schedules were read.
        let in_turn: Vec<_> =
            in_turn.into_iter().filter(|(_, run)| next.is_none_or(|next| run.at < next)).collect();
        let mut times: Vec<SystemTime> = in_turn.iter().map(|(_, run)| run.at).collect();
        times.sort();
        runs.due += due.len();
        runs.sent += times.len();
        runs.missed += in_turn.iter().map(|(_, run)| run.missed).sum::<u64>();
        runs.when.extend(in_turn.iter().map(|(row, run)| (row.id, run.at)));
        let what = "a schedule's runs were not sent once each";
        faults.unless(due == times, what, format!("{}: {due:?}, sent {times:?}", schedule.id));
    }
    faults.unless(runs.missed == 0, "runs were missed", runs.missed);
    for (id, rows) in sent {
        faults.add("a schedule sent that is not there", format!("{id}: {}", rows.len()));
    }
    let there: BTreeSet<&str> = stored.schedules.iter().map(|one| one.id.as_str()).collect();
    for id in scheduled.made.iter().filter(|id| !there.contains(id.as_str())) {
        faults.add("an acknowledged schedule is not stored", id);
    }
    for id in told.difference(&found) {
        faults.add("an acknowledged run out of turn is not stored", id);
    }
    let what = "runs out of turn were sent that nobody asked for";
    faults.unless(untold <= scheduled.retries, what, format!("{untold} of {}", scheduled.retries));
    runs
}

/// When it was due, up to the run at which it stands.
fn due(schedule: &Schedule, faults: &mut Faults) -> Vec<SystemTime> {
    let next = schedule.next_run_at.map(system_time);
    match schedule.when.as_ref().unwrap() {
        When::Once(at) => {
            faults.unless(next.is_none(), "a schedule is due for ever", &schedule.id);
            vec![system_time(*at)]
        }
        When::Cron(cron) => {
            let Some(next) = next else {
                faults.add("a cron has no next run", &schedule.id);
                return Vec::new();
            };
            let behind = SystemTime::now().duration_since(next).unwrap_or_default();
            faults.unless(behind < BEHIND, "a cron stands in the past", &schedule.id);
            let (_, step) = CRONS.iter().find(|(fields, _)| fields == cron).unwrap();
            let step = step * 60;
            let made = schedule.created_at.unwrap().seconds;
            let first = (made / step + 1) * step;
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
