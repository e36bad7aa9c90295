//! Fanning out: for each message behind the cursor, a delivery to every bot that may hear it; and
//! the cursor moves, all of it or nothing.
//!
//! Here the databases part: PostgreSQL takes it as one statement, which no replica that stalls can
//! leave half done, with the cursor's row locked; SQLite as one transaction of its one writer.

mod postgres;
mod sqlite;

use database::{Connection, with_conn};
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult};
use diesel_async::RunQueryDsl as _;

use super::tables::bot_cursor;

/// Messages that are looked at at once.
pub const PAGE: i64 = 256;

/// What became of a look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fanned {
    /// Messages that were looked at.
    pub messages: i64,
    /// Deliveries that were made.
    pub deliveries: i64,
}

/// The newest message that was looked at; none before the first.
pub async fn cursor(connection: &mut Connection) -> QueryResult<Option<i64>> {
    with_conn!(connection, c => bot_cursor::table
        .find(1)
        .select(bot_cursor::position)
        .first(c)
        .await
        .optional())
}

/// Makes the cursor, unless it is there.
pub async fn begin(connection: &mut Connection, at: i64) -> QueryResult<()> {
    with_conn!(connection, c => diesel::insert_into(bot_cursor::table)
        .values((bot_cursor::id.eq(1), bot_cursor::position.eq(at)))
        .on_conflict(bot_cursor::id)
        .do_nothing()
        .execute(c)
        .await)
    .map(drop)
}

/// Looks at the messages behind the cursor, a page at most, none of them before `earliest`. None
/// where another replica is at it.
pub async fn fan_out(connection: &mut Connection, earliest: i64) -> QueryResult<Option<Fanned>> {
    match connection {
        Connection::Postgres(connection) => postgres::fan_out(connection, earliest).await,
        Connection::Sqlite(connection) => {
            let fanned =
                connection.spawn_blocking(move |connection| sqlite::fan_out(connection, earliest));
            fanned.await.map(Some)
        }
    }
}
