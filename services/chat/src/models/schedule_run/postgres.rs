use database::{
    PostgresConnection,
    types::{Instant, JsonDocument},
};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;

use super::ScheduleRun;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    is_run: bool,
}

pub(super) async fn execute(
    connection: &mut PostgresConnection,
    run: &ScheduleRun,
) -> QueryResult<bool> {
    diesel::sql_query(RUN)
        .bind::<Text, _>(&run.schedule_id)
        .bind::<Instant, _>(run.expected_next_run)
        .bind::<Nullable<Instant>, _>(run.next_run)
        .bind::<Instant, _>(run.message.sent_at)
        .bind::<Text, _>(&run.message.id)
        .bind::<Text, _>(&run.message.sender)
        .bind::<JsonDocument, _>(&run.message.metadata)
        .get_result::<Row>(connection)
        .await
        .map(|Row { is_run }| is_run)
}

/// Locked rows are skipped; the next poll finds the schedule again.
const RUN: &str = "\
WITH open AS ( \
SELECT schedule.id, chat_id FROM scheduled_messages AS schedule JOIN chats ON chats.id = chat_id \
WHERE schedule.id = $1 AND next_run_at = $2 AND enabled FOR NO KEY UPDATE SKIP LOCKED), \
moved_on AS ( \
UPDATE scheduled_messages SET next_run_at = $3, last_run_at = $4 FROM open \
WHERE scheduled_messages.id = open.id RETURNING open.chat_id, message), \
stored AS ( \
INSERT INTO messages (id, chat_id, sender, body, metadata, sent_at) \
SELECT $5, chat_id, $6, message, $7, $4 FROM moved_on \
ON CONFLICT (id) DO NOTHING RETURNING chat_id), \
moved AS ( \
UPDATE chats SET last_message_at = $4 FROM stored WHERE chats.id = stored.chat_id \
AND (last_message_at IS NULL OR last_message_at < $4)) \
SELECT EXISTS (SELECT FROM moved_on) AS is_run";
