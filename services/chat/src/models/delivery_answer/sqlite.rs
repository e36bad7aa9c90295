use diesel::{
    ExpressionMethods as _, QueryDsl as _, QueryResult, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
};

use super::DeliveryAnswer;
use crate::models::{
    message_insert::insert_in_transaction,
    tables::{bot_deliveries as deliveries, processed_messages as processed},
};

pub(super) fn store(
    connection: &mut SqliteConnection,
    answer: &DeliveryAnswer,
) -> QueryResult<bool> {
    // A worker that was answered never sends its answer again: it must survive a power failure.
    connection.batch_execute("PRAGMA synchronous = FULL")?;
    connection.immediate_transaction(|connection| {
        let open = deliveries::table
            .find((answer.attempt.position, &answer.attempt.bot_id))
            .filter(deliveries::attempt.eq(answer.attempt.attempt));
        if diesel::delete(open).execute(connection)? == 0 {
            return Ok(false);
        }
        let kept = diesel::insert_into(processed::table)
            .values(&answer.processed)
            .on_conflict((processed::message_id, processed::bot_id))
            .do_nothing()
            .execute(connection)?;
        if kept > 0
            && let Some(reply) = &answer.reply
        {
            insert_in_transaction(connection, std::slice::from_ref(reply))?;
        }
        Ok(true)
    })
}
