use diesel::{
    ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult, RunQueryDsl as _,
    SelectableHelper as _, SqliteConnection, connection::SimpleConnection as _,
};

use super::ScheduleRun;
use crate::models::{
    message::NewMessage, message_insert::insert_in_transaction, schedule::Schedule,
    tables::scheduled_messages as schedules,
};

pub(super) fn execute(connection: &mut SqliteConnection, run: &ScheduleRun) -> QueryResult<bool> {
    // A run that was announced must survive a power failure.
    connection.batch_execute("PRAGMA synchronous = FULL")?;
    connection.immediate_transaction(|connection| {
        let row = schedules::table.find(&run.schedule_id).select(Schedule::as_select());
        // Compared as times, because another program may have written them in another format.
        let is_due = |schedule: &Schedule| {
            schedule.enabled && schedule.next_run_at == Some(run.expected_next_run)
        };
        let Some(schedule) = row.first(connection).optional()?.filter(is_due) else {
            return Ok(false);
        };
        diesel::update(schedules::table.find(&run.schedule_id))
            .set((
                schedules::next_run_at.eq(run.next_run),
                schedules::last_run_at.eq(Some(run.message.sent_at)),
            ))
            .execute(connection)?;
        let message = NewMessage { body: schedule.message, ..run.message.clone() };
        insert_in_transaction(connection, &[message])?;
        Ok(true)
    })
}
