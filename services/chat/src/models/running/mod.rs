//! Running a schedule: the message is stored, its chat's `last_message_at` moved and the schedule
//! put at its next run, all of it or nothing, and only where the schedule still stands at the run.
//!
//! As in [`sending`](super::sending) the databases part: PostgreSQL takes it as one statement,
//! which no client can stall; SQLite as one transaction of one closure.

mod postgres;
mod sqlite;

use database::{Connection, types::Time};
use diesel::QueryResult;

use super::message::NewMessage;

/// A run that is due.
#[derive(Clone, Debug)]
pub struct Run {
    /// The schedule.
    pub schedule_id: String,
    /// The run that it stands at.
    pub stands_at: Time,
    /// Where it is to stand then.
    pub next: Option<Time>,
    /// What is to be stored. Its body is the schedule's as it is then.
    pub message: NewMessage,
}

impl Run {
    /// Does it, and says whether it was done. Not done: another replica was faster, somebody
    /// changed the schedule, or others hold its row or its chat's.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn run(self, connection: &mut Connection) -> QueryResult<bool> {
        match connection {
            Connection::Postgres(connection) => postgres::run(connection, &self).await,
            Connection::Sqlite(connection) => {
                connection.spawn_blocking(move |connection| sqlite::run(connection, &self)).await
            }
        }
    }
}
