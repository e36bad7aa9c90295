use database::PostgresConnection;
use diesel::{OptionalExtension as _, QueryResult, QueryableByName, sql_types::BigInt};
use diesel_async::RunQueryDsl as _;

use super::{FanoutCounts, PAGE_SIZE, insert_deliveries};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    messages: i64,
    #[diesel(sql_type = BigInt)]
    deliveries: i64,
}

pub(super) async fn fan_out(
    connection: &mut PostgresConnection,
    min_since_position: i64,
) -> QueryResult<Option<FanoutCounts>> {
    let row: Option<Row> = diesel::sql_query(FAN_OUT)
        .bind::<BigInt, _>(min_since_position)
        .bind::<BigInt, _>(PAGE_SIZE)
        .get_result(connection)
        .await
        .optional()?;
    Ok(row.map(|Row { messages, deliveries }| FanoutCounts { messages, deliveries }))
}

/// The cursor is read when its lock is taken, the messages as of the start of the statement: what
/// is committed between the two is after the page, and so after the new cursor. The JSON operator
/// reads one key of the text, because `jsonb` would refuse some documents of other programs.
const FAN_OUT: &str = concat!(
    "WITH here AS ( \
     SELECT position FROM bot_cursor WHERE id = 1 FOR UPDATE SKIP LOCKED), \
     page AS ( \
     SELECT message.position, message.chat_id, message.sender FROM messages AS message \
     WHERE message.position > (SELECT greatest(position, $1) FROM here) \
     ORDER BY message.position LIMIT $2), \
     moved AS ( \
     UPDATE bot_cursor SET position = newest.position \
     FROM (SELECT max(position) AS position FROM page) AS newest \
     WHERE bot_cursor.id = 1 AND newest.position IS NOT NULL), \
     made AS ( ",
    insert_deliveries!(
        page: "page",
        now: "clock_timestamp()",
        hears_bots: "coalesce(chat_bots.config_override -> 'hears_bots', \
                     bots.config -> 'hears_bots')::text"
    ),
    " RETURNING position) \
     SELECT (SELECT count(*) FROM page) AS messages, \
     (SELECT count(*) FROM made) AS deliveries FROM here"
);
