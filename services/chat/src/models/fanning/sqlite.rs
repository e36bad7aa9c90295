//! SQLite's way: one transaction of its one writer.

use database::types::{Instant, Time};
use diesel::{
    ExpressionMethods as _, QueryDsl as _, QueryResult, RunQueryDsl as _, SqliteConnection,
    sql_types::BigInt,
};

use super::{Fanned, PAGE};
use crate::models::tables::{bot_cursor, messages};

/// Makes the deliveries of a page.
pub(super) fn fan_out(connection: &mut SqliteConnection, earliest: i64) -> QueryResult<Fanned> {
    connection.immediate_transaction(|connection| {
        let here: i64 = bot_cursor::table.find(1).select(bot_cursor::position).first(connection)?;
        let after = here.max(earliest);
        let page: Vec<i64> = messages::table
            .filter(messages::position.gt(after))
            .order(messages::position)
            .limit(PAGE)
            .select(messages::position)
            .load(connection)?;
        let Some(last) = page.last() else { return Ok(Fanned { messages: 0, deliveries: 0 }) };
        let made = diesel::sql_query(FAN_OUT)
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(last)
            .bind::<Instant, _>(Time::now())
            .execute(connection)?;
        diesel::update(bot_cursor::table.find(1))
            .set(bot_cursor::position.eq(last))
            .execute(connection)?;
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(Fanned { messages: count(page.len()), deliveries: count(made) })
    })
}

/// A config that is no JSON, as another program may have written it, says nothing.
const FAN_OUT: &str = "\
INSERT INTO bot_deliveries \
(position, bot_id, chat_id, priority, available_at, created_at) \
SELECT page.position, bots.id, page.chat_id, chat_bots.priority, ?3, ?3 \
FROM messages AS page JOIN chat_bots ON chat_bots.chat_id = page.chat_id \
JOIN bots ON bots.id = chat_bots.bot_id \
WHERE page.position > ?1 AND page.position <= ?2 \
AND chat_bots.enabled AND bots.enabled AND page.position > chat_bots.since_position \
AND page.sender <> bots.id \
AND (NOT EXISTS (SELECT 1 FROM bots AS speaking WHERE speaking.id = page.sender) \
OR coalesce( \
iif(json_valid(chat_bots.config_override), chat_bots.config_override -> '$.hears_bots', NULL), \
iif(json_valid(bots.config), bots.config -> '$.hears_bots', NULL)) = 'true') \
ON CONFLICT DO NOTHING";
