//! Fan-out: makes a delivery of each message after the cursor for every bot that gets it, and moves
//! the cursor, all or nothing.
//!
//! PostgreSQL does it in one statement, which a stalled replica cannot leave half done with the
//! cursor's row locked; SQLite in one transaction of its single writer. The rule of which bots get
//! a message is one text for both.

mod postgres;
mod sqlite;

use database::{Connection, with_conn};
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult};
use diesel_async::RunQueryDsl as _;

use super::tables::bot_cursor;

/// Messages of one fan-out.
pub const PAGE_SIZE: i64 = 256;

/// What one fan-out did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FanoutCounts {
    pub messages: i64,
    pub deliveries: i64,
}

/// The position up to which deliveries exist; `None` before the first fan-out.
pub async fn cursor(connection: &mut Connection) -> QueryResult<Option<i64>> {
    with_conn!(connection, c => bot_cursor::table
        .find(1)
        .select(bot_cursor::position)
        .first(c)
        .await
        .optional())
}

/// Inserts the cursor at a position, unless it exists.
pub async fn insert_cursor(connection: &mut Connection, position: i64) -> QueryResult<()> {
    with_conn!(connection, c => diesel::insert_into(bot_cursor::table)
        .values((bot_cursor::id.eq(1), bot_cursor::position.eq(position)))
        .on_conflict(bot_cursor::id)
        .do_nothing()
        .execute(c)
        .await)
    .map(drop)
}

/// Makes the deliveries of one page of messages after the cursor and after `min_since_position`.
/// Returns `None` while another replica holds the cursor.
pub async fn fan_out(
    connection: &mut Connection,
    min_since_position: i64,
) -> QueryResult<Option<FanoutCounts>> {
    match connection {
        Connection::Postgres(connection) => postgres::fan_out(connection, min_since_position).await,
        Connection::Sqlite(connection) => connection
            .spawn_blocking(move |connection| sqlite::fan_out(connection, min_since_position))
            .await
            .map(Some),
    }
}

/// Inserts a delivery of each message in `$page` for every enabled bot with an enabled assignment
/// that began before the message. A bot does not get its own messages, and those of other bots only
/// if its config says `hears_bots`.
macro_rules! insert_deliveries {
    (page: $page:literal, now: $now:literal, hears_bots: $hears_bots:literal) => {
        concat!(
            "INSERT INTO bot_deliveries \
             (position, bot_id, chat_id, priority, available_at, created_at) \
             SELECT page.position, bots.id, page.chat_id, chat_bots.priority, ",
            $now,
            ", ",
            $now,
            " FROM ",
            $page,
            " AS page JOIN chat_bots ON chat_bots.chat_id = page.chat_id \
             JOIN bots ON bots.id = chat_bots.bot_id \
             WHERE chat_bots.enabled AND bots.enabled \
             AND page.position > chat_bots.since_position AND page.sender <> bots.id \
             AND (NOT EXISTS (SELECT 1 FROM bots AS sender WHERE sender.id = page.sender) OR ",
            $hears_bots,
            " = 'true') ON CONFLICT DO NOTHING"
        )
    };
}
use insert_deliveries;
