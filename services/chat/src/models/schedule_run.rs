//! Running a schedule: stores the message, moves the chat's `last_message_at` and sets the next
//! run, all or nothing, and only if the schedule is still at the run.
//!
//! As in [`message_insert`](super::message_insert), PostgreSQL does it in one statement, which a
//! client cannot leave half done, and SQLite in one transaction within one closure.

mod postgres;
mod sqlite;

use database::{Connection, types::Time};
use diesel::QueryResult;

use super::message::NewMessage;

/// A due run.
#[derive(Clone, Debug)]
pub struct ScheduleRun {
    pub schedule_id: String,
    /// The schedule's `next_run_at` for which this is the run.
    pub expected_next_run: Time,
    /// The `next_run_at` to set.
    pub next_run: Option<Time>,
    /// The message to store. Its body is read from the schedule in the transaction.
    pub message: NewMessage,
}

impl ScheduleRun {
    /// Runs the schedule; returns whether it did. It does not if another replica was faster, the
    /// schedule was updated, or another transaction locks the row of the schedule or the chat.
    pub async fn execute(self, connection: &mut Connection) -> QueryResult<bool> {
        match connection {
            Connection::Postgres(connection) => postgres::execute(connection, &self).await,
            Connection::Sqlite(connection) => {
                connection
                    .spawn_blocking(move |connection| sqlite::execute(connection, &self))
                    .await
            }
        }
    }
}
