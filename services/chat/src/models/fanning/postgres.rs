//! PostgreSQL's way: one statement.

use common::database::PostgresConnection;
use diesel::{OptionalExtension as _, QueryResult, QueryableByName, sql_types::BigInt};
use diesel_async::RunQueryDsl as _;

use super::{Fanned, PAGE};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    messages: i64,
    #[diesel(sql_type = BigInt)]
    deliveries: i64,
}

/// Makes the deliveries of a page; none where another replica is at it.
pub(super) async fn fan_out(
    connection: &mut PostgresConnection,
    earliest: i64,
) -> QueryResult<Option<Fanned>> {
    let row: Option<Row> = diesel::sql_query(FAN_OUT)
        .bind::<BigInt, _>(earliest)
        .bind::<BigInt, _>(PAGE)
        .get_result(connection)
        .await
        .optional()?;
    Ok(row.map(|Row { messages, deliveries }| Fanned { messages, deliveries }))
}

/// The cursor is read as it is when its lock is had, the messages as they were when the statement
/// began: what came between is behind the page, and so behind the cursor. JSON is asked for a key
/// as it is, since `jsonb` would refuse some of what another program may have written.
const FAN_OUT: &str = "\
WITH here AS ( \
SELECT position FROM bot_cursor WHERE id = 1 FOR UPDATE SKIP LOCKED), \
page AS ( \
SELECT message.position, message.chat_id, message.sender FROM messages AS message \
WHERE message.position > (SELECT greatest(position, $1) FROM here) \
ORDER BY message.position LIMIT $2), \
moved AS ( \
UPDATE bot_cursor SET position = newest.position \
FROM (SELECT max(position) AS position FROM page) AS newest \
WHERE bot_cursor.id = 1 AND newest.position IS NOT NULL), \
made AS ( \
INSERT INTO bot_deliveries \
(position, bot_id, chat_id, priority, available_at, created_at) \
SELECT page.position, bots.id, page.chat_id, chat_bots.priority, clock_timestamp(), clock_timestamp() \
FROM page JOIN chat_bots ON chat_bots.chat_id = page.chat_id JOIN bots ON bots.id = chat_bots.bot_id \
WHERE chat_bots.enabled AND bots.enabled AND page.position > chat_bots.since_position \
AND page.sender <> bots.id \
AND (NOT EXISTS (SELECT FROM bots AS speaking WHERE speaking.id = page.sender) \
OR coalesce(chat_bots.config_override -> 'hears_bots', bots.config -> 'hears_bots')::text = 'true') \
ON CONFLICT DO NOTHING RETURNING position) \
SELECT (SELECT count(*) FROM page) AS messages, (SELECT count(*) FROM made) AS deliveries FROM here";
