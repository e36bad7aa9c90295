//! SQLite's way: one transaction of its one writer.

use diesel::{
    ExpressionMethods as _, QueryDsl as _, QueryResult, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
};

use super::Answer;
use crate::models::{
    sending::sqlite::store_within,
    tables::{bot_deliveries as deliveries, processed_messages as processed},
};

/// Does it, and says whether it was done.
pub(super) fn store(connection: &mut SqliteConnection, answer: &Answer) -> QueryResult<bool> {
    // An answer that is kept as given must have been.
    connection.batch_execute("PRAGMA synchronous = FULL")?;
    connection.immediate_transaction(|connection| {
        let open = deliveries::table
            .find((answer.to.position, &answer.to.bot_id))
            .filter(deliveries::attempt.eq(answer.to.attempt));
        if diesel::delete(open).execute(connection)? == 0 {
            return Ok(false);
        }
        let kept = diesel::insert_into(processed::table)
            .values(&answer.kept)
            .on_conflict((processed::message_id, processed::bot_id))
            .do_nothing()
            .execute(connection)?;
        if kept > 0
            && let Some(reply) = &answer.reply
        {
            store_within(connection, std::slice::from_ref(reply))?;
        }
        Ok(true)
    })
}
