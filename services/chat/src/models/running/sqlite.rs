//! SQLite's way: one transaction of its one writer.

use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult, RunQueryDsl as _,
    SelectableHelper as _, SqliteConnection, connection::SimpleConnection as _,
};

use super::Run;
use crate::models::{
    message::NewMessage, schedule::Schedule, sending::sqlite::store_within,
    tables::scheduled_messages as schedules,
};

/// Does it, and says whether it was done.
pub(super) fn run(connection: &mut SqliteConnection, run: &Run) -> QueryResult<bool> {
    // A run that is kept as sent must have been.
    connection.batch_execute("PRAGMA synchronous = FULL")?;
    connection.immediate_transaction(|connection| {
        let row = schedules::table.find(&run.schedule_id).select(Schedule::as_select());
        let stands =
            |schedule: &Schedule| schedule.enabled && schedule.next_run_at == Some(run.stands_at);
        // Times are compared here, and not as text: another program may have written them.
        let Some(schedule) = row.first(connection).optional()?.filter(stands) else {
            return Ok(false);
        };
        diesel::update(schedules::table.find(&run.schedule_id))
            .set((
                schedules::next_run_at.eq(run.next),
                schedules::last_run_at.eq(Some(run.message.sent_at)),
            ))
            .execute(connection)?;
        let message = NewMessage { body: schedule.message, ..run.message.clone() };
        store_within(connection, &[message])?;
        Ok(true)
    })
}
