//! The task that sends what is due. Every replica has one; the database decides between them.

use std::time::Duration;

use database::types::{Json, Time};
use serde_json::{Value, json};
use uuid::Uuid;
use wire::error_chain;

use super::calendar::Calendar;
use crate::{
    bus::{Bus, Ear, Topic},
    error::Error,
    models::{message::NewMessage, running::Run, schedule::Schedule},
    store::Store,
};

/// How often the schedules are looked at though none of them is due: for what the bus lost, and what
/// another program wrote.
const PACE: Duration = Duration::from_secs(1);
/// Schedules that are looked at at once.
const PAGE: i64 = 64;
/// The key of a message's metadata that tells of its schedule.
const KEY: &str = "schedule";

/// Sends what is due, once [`run`](Self::run).
pub(crate) struct Runner {
    store: Store,
    bus: Bus,
}

impl Runner {
    /// One that tells the bus of what it sends.
    pub(crate) const fn new(store: Store, bus: Bus) -> Self {
        Self { store, bus }
    }

    /// Looks and sends while the gate is open, also when it hears of a change, for ever.
    pub(crate) async fn run(self, mut changed: Ear) {
        let mut adopted = false;
        loop {
            self.store.gate().opened().await;
            match self.turn(&mut adopted).await {
                Ok(pause) => {
                    let _ = tokio::time::timeout(pause, changed.heard()).await;
                }
                Err(error) => {
                    self.store.heed(&error);
                    tracing::warn!(
                        error = error_chain(&error),
                        "the schedules could not be looked at"
                    );
                    tokio::time::sleep(PACE).await;
                }
            }
        }
    }

    /// Sends what is due, and says how long nothing else will be.
    async fn turn(&self, adopted: &mut bool) -> Result<Duration, Error> {
        if !*adopted {
            self.adopt().await?;
            *adopted = true;
        }
        let now = Time::now();
        let due = Schedule::due(&mut self.store.connection().await?, now, PAGE).await?;
        let mut all = due.len() < PAGE as usize;
        for schedule in &due {
            all &= self.send(schedule, now).await?;
        }
        if !all {
            // Others hold what is left, or there is more of it.
            return Ok(PACE / 20);
        }
        let next = Schedule::next(&mut self.store.connection().await?).await?;
        let until = next.map(|next| (next.utc() - Time::now().utc()).to_std().unwrap_or_default());
        Ok(until.unwrap_or(PACE).min(PACE))
    }

    /// Puts schedules at their first run that another program left at none.
    async fn adopt(&self) -> Result<(), Error> {
        let connection = &mut self.store.connection().await?;
        let now = Time::now();
        for schedule in Schedule::adrift(connection, 1_000).await? {
            match schedule.calendar() {
                Ok(calendar) => schedule.put(connection, calendar.next(now), true).await?,
                Err(error) => {
                    tracing::error!(schedule = schedule.id, "cannot be read, and is left: {error}");
                }
            }
        }
        Ok(())
    }

    /// Sends a schedule that is due; false where it has to be looked at again.
    async fn send(&self, schedule: &Schedule, now: Time) -> Result<bool, Error> {
        let connection = &mut self.store.connection().await?;
        let Some(stands_at) = schedule.next_run_at else { return Ok(true) };
        let calendar = match schedule.calendar() {
            Ok(calendar) => calendar,
            Err(error) => {
                tracing::error!(schedule = schedule.id, "cannot be read, and is disabled: {error}");
                schedule.put(connection, None, false).await?;
                return Ok(true);
            }
        };
        let due = calendar.due(stands_at, now);
        let told = json!({
            "id": schedule.id,
            "run_at": due.at.utc().to_rfc3339(),
            "missed": due.missed,
        });
        let run = Run {
            schedule_id: schedule.id.clone(),
            stands_at,
            next: due.next,
            message: schedule.message(run_id(&schedule.id, due.at), told),
        };
        if !run.run(connection).await? {
            return Ok(false);
        }
        self.bus.tell(Topic::Messages);
        if due.missed > 0 {
            tracing::warn!(
                schedule = schedule.id,
                missed = due.missed,
                "only the last of the runs that were missed was sent"
            );
        }
        Ok(true)
    }
}

impl Schedule {
    /// When it is due.
    pub(crate) fn calendar(&self) -> Result<Calendar, super::calendar::Unreadable> {
        Calendar::read(self.kind, &self.expression, &self.timezone)
    }

    /// What it sends now.
    pub(crate) fn message(&self, id: Uuid, told: Value) -> NewMessage {
        let mut metadata = self.metadata.0.clone();
        if let Value::Object(map) = &mut metadata {
            map.insert(KEY.into(), told);
        }
        NewMessage {
            id: id.to_string(),
            chat_id: self.chat_id.clone(),
            sender: format!("schedule:{}", self.id),
            body: self.message.clone(),
            reply_to: None,
            metadata: Json(metadata),
            sent_at: Time::now(),
        }
    }
}

/// The id of a run's message: the same wherever it is made.
fn run_id(schedule_id: &str, at: Time) -> Uuid {
    let name = format!("{schedule_id}/{}", at.utc().timestamp_micros());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}
