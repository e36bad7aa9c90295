//! The messages that schedules send.

use database::types::{Json, Time};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::models::{message::NewMessage, schedule::Schedule};

/// The key in a message's metadata that describes its run.
const METADATA_KEY: &str = "schedule";

/// The message of a run at its due time, `missed` runs after the last one that was sent.
pub(crate) fn of_run(schedule: &Schedule, run_at: Time, missed: usize) -> NewMessage {
    with_id(run_id(&schedule.id, run_at), schedule, run_at, missed)
}

/// The message of a run on request.
pub(crate) fn on_request(schedule: &Schedule) -> NewMessage {
    with_id(Uuid::now_v7(), schedule, Time::now(), 0)
}

fn with_id(id: Uuid, schedule: &Schedule, run_at: Time, missed: usize) -> NewMessage {
    let run = json!({ "id": schedule.id, "run_at": run_at.utc().to_rfc3339(), "missed": missed });
    let mut metadata = schedule.metadata.0.clone();
    if let Value::Object(map) = &mut metadata {
        map.insert(METADATA_KEY.into(), run);
    }
    NewMessage {
        id: id.to_string(),
        chat_id: schedule.chat_id.clone(),
        sender: format!("schedule:{}", schedule.id),
        body: schedule.message.clone(),
        reply_to: None,
        metadata: Json(metadata),
        sent_at: Time::now(),
    }
}

/// The id of a run's message: every replica derives the same.
fn run_id(schedule_id: &str, run_at: Time) -> Uuid {
    let name = format!("{schedule_id}/{}", run_at.utc().timestamp_micros());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}
