//! Claiming: deliveries are given to a worker for as long as its lease, each to one at a time.
//!
//! Within a message the lower priority goes first: a delivery waits while another one of its
//! message, with a lower number, was never handed out. It does not wait for ever, for nobody may
//! attend to that one's type.
//!
//! Here the databases part: PostgreSQL passes over rows that another replica is at, SQLite has its
//! one writer.

mod postgres;
mod sqlite;

use std::time::Duration;

use database::{Connection, types::Time};
use diesel::QueryResult;

use super::{clock, delivery::Delivery};

/// How long a delivery waits for one of a lower priority number. Long enough for a worker that is
/// there and busy for a moment, short enough that a conversation goes on without it.
const HEAD_START: Duration = Duration::from_secs(3);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The type of the bots.
    pub kind: String,
    /// How many deliveries, at most.
    pub limit: i64,
    /// How long they may be in hand.
    pub lease: Duration,
}

/// A delivery that was given to a worker, at one attempt.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Claimed {
    /// The message's position.
    pub position: i64,
    /// The bot.
    pub bot_id: String,
    /// The attempt.
    pub attempt: i32,
}

/// A claim at one moment.
struct Asked {
    claim: Claim,
    now: Time,
    /// Deliveries that are older wait for no priority.
    waited: Time,
    until: Time,
}

impl Claim {
    /// Claims deliveries, in the order of messages.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn take(self, connection: &mut Connection) -> QueryResult<Vec<Claimed>> {
        let now = clock::now(connection).await?;
        let asked = Asked {
            now,
            waited: (now.utc() - HEAD_START).into(),
            until: (now.utc() + self.lease).into(),
            claim: self,
        };
        match connection {
            Connection::Postgres(connection) => postgres::take(connection, &asked).await,
            Connection::Sqlite(connection) => {
                connection.spawn_blocking(move |connection| sqlite::take(connection, &asked)).await
            }
        }
    }
}

impl Claimed {
    /// Whether it is this delivery.
    pub fn is(&self, delivery: &Delivery) -> bool {
        (self.position, &self.bot_id, self.attempt)
            == (delivery.position, &delivery.bot_id, delivery.attempt)
    }
}
