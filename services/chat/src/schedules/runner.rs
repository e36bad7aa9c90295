//! The task that sends due messages. Every replica has one; the database decides between them.

use std::time::Duration;

use database::types::Time;
use tokio::time::{sleep, timeout};
use wire::error_chain;

use super::{
    calendar::{Calendar, CalendarError},
    message,
};
use crate::{
    bus::{Bus, Topic, WakeUps},
    error::Error,
    models::{schedule::Schedule, schedule_run::ScheduleRun},
    store::Store,
};

/// How often the schedules are read although none is due: for lost wake-ups, and for schedules that
/// another program inserted.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a pass that left due schedules, because of their number or of locks.
const BUSY_INTERVAL: Duration = Duration::from_millis(50);
/// Due schedules of one pass.
const PAGE_SIZE: i64 = 64;
/// Schedules without a next run that are completed at the start.
const MAX_WITHOUT_NEXT_RUN: i64 = 1_000;

pub(crate) struct ScheduleRunner {
    store: Store,
    bus: Bus,
}

impl ScheduleRunner {
    pub(crate) const fn new(store: Store, bus: Bus) -> Self {
        Self { store, bus }
    }

    /// Sends due messages while the gate is open, until it is aborted.
    pub(crate) async fn run(self, mut wake_ups: WakeUps) {
        let mut has_first_runs = false;
        loop {
            self.store.gate().opened().await;
            match self.pass(&mut has_first_runs).await {
                Ok(pause) => drop(timeout(pause, wake_ups.recv()).await),
                Err(error) => {
                    self.store.invalidate_on(&error);
                    tracing::warn!(error = error_chain(&error), "reading schedules failed");
                    sleep(POLL_INTERVAL).await;
                }
            }
        }
    }

    /// Sends what is due; returns how long nothing else will be.
    async fn pass(&self, has_first_runs: &mut bool) -> Result<Duration, Error> {
        if !*has_first_runs {
            self.set_first_runs().await?;
            *has_first_runs = true;
        }
        let now = Time::now();
        let due = Schedule::due(&mut self.store.connection().await?, now, PAGE_SIZE).await?;
        let mut all_done = due.len() < PAGE_SIZE as usize;
        for schedule in &due {
            all_done &= self.send(schedule, now).await?;
        }
        if !all_done {
            return Ok(BUSY_INTERVAL);
        }
        let next = Schedule::next_run(&mut self.store.connection().await?).await?;
        let until = next.map(|next| (next.utc() - Time::now().utc()).to_std().unwrap_or_default());
        Ok(until.unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL))
    }

    /// Sets the next run of schedules that another program inserted without one.
    async fn set_first_runs(&self) -> Result<(), Error> {
        let connection = &mut self.store.connection().await?;
        let now = Time::now();
        for schedule in Schedule::without_next_run(connection, MAX_WITHOUT_NEXT_RUN).await? {
            match calendar(&schedule) {
                Ok(calendar) => {
                    schedule.set_next_run(connection, calendar.next(now), true).await?;
                }
                Err(error) => {
                    let id = schedule.id;
                    tracing::error!(schedule = id, %error, "invalid schedule ignored");
                }
            }
        }
        Ok(())
    }

    /// Sends the due run of a schedule; returns false if the schedule must be read again.
    async fn send(&self, schedule: &Schedule, now: Time) -> Result<bool, Error> {
        let connection = &mut self.store.connection().await?;
        let Some(expected_next_run) = schedule.next_run_at else { return Ok(true) };
        let calendar = match calendar(schedule) {
            Ok(calendar) => calendar,
            Err(error) => {
                tracing::error!(schedule = schedule.id, %error, "invalid schedule disabled");
                schedule.set_next_run(connection, None, false).await?;
                return Ok(true);
            }
        };
        let due = calendar.due(expected_next_run, now);
        let run = ScheduleRun {
            schedule_id: schedule.id.clone(),
            expected_next_run,
            next_run: due.next,
            message: message::of_run(schedule, due.at, due.missed),
        };
        if !run.execute(connection).await? {
            return Ok(false);
        }
        self.bus.publish(Topic::Messages);
        if due.missed > 0 {
            tracing::warn!(
                schedule = schedule.id,
                missed = due.missed,
                "missed scheduled runs; sent only the latest"
            );
        }
        Ok(true)
    }
}

fn calendar(schedule: &Schedule) -> Result<Calendar, CalendarError> {
    Calendar::parse(schedule.kind, &schedule.expression, &schedule.timezone)
}
