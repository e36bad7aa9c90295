use database::types::{Instant, Time};
use diesel::{
    ExpressionMethods as _, QueryDsl as _, QueryResult, RunQueryDsl as _, SqliteConnection,
    sql_types::BigInt,
};

use super::{FanoutCounts, PAGE_SIZE, insert_deliveries};
use crate::models::tables::{bot_cursor, messages};

pub(super) fn fan_out(
    connection: &mut SqliteConnection,
    min_since_position: i64,
) -> QueryResult<FanoutCounts> {
    connection.immediate_transaction(|connection| {
        let cursor: i64 =
            bot_cursor::table.find(1).select(bot_cursor::position).first(connection)?;
        let after = cursor.max(min_since_position);
        let page: Vec<i64> = messages::table
            .filter(messages::position.gt(after))
            .order(messages::position)
            .limit(PAGE_SIZE)
            .select(messages::position)
            .load(connection)?;
        let Some(last) = page.last() else {
            return Ok(FanoutCounts { messages: 0, deliveries: 0 });
        };
        let deliveries = diesel::sql_query(INSERT_DELIVERIES)
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(last)
            .bind::<Instant, _>(Time::now())
            .execute(connection)?;
        diesel::update(bot_cursor::table.find(1))
            .set(bot_cursor::position.eq(last))
            .execute(connection)?;
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(FanoutCounts { messages: count(page.len()), deliveries: count(deliveries) })
    })
}

/// A config of another program that is not JSON counts as empty.
const INSERT_DELIVERIES: &str = insert_deliveries!(
    page: "(SELECT position, chat_id, sender FROM messages \
           WHERE position > ?1 AND position <= ?2)",
    now: "?3",
    hears_bots: "coalesce( \
                 iif(json_valid(chat_bots.config_override), \
                 chat_bots.config_override -> '$.hears_bots', NULL), \
                 iif(json_valid(bots.config), bots.config -> '$.hears_bots', NULL))"
);
