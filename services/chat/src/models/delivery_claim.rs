//! Leasing deliveries to a worker, each to one worker at a time.
//!
//! A bot with a lower priority number gets a message earlier: a delivery waits while another
//! delivery of its message has a lower number and was never leased. It waits for [`PRIORITY_WAIT`]
//! only, because no worker may run the other bot.
//!
//! PostgreSQL leases in one statement that skips rows locked by other replicas; SQLite in a
//! transaction of its single writer. The rule of what can be leased is one text for both.

mod postgres;
mod sqlite;

use std::time::Duration;

use database::{Connection, types::Time};
use diesel::QueryResult;

use super::{clock, delivery::DeliveryAttempt};

/// How long a delivery waits for one with a lower priority number: enough for a worker that is
/// busy for a moment, and short enough for a conversation.
const PRIORITY_WAIT: Duration = Duration::from_secs(3);

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct DeliveryClaim {
    /// The type of the bots.
    pub kind: String,
    pub limit: i64,
    pub lease: Duration,
}

/// A claim at one moment of the database's clock.
struct TimedClaim {
    claim: DeliveryClaim,
    now: Time,
    /// A delivery created before this waits for no other priority.
    priority_deadline: Time,
    leased_until: Time,
}

impl DeliveryClaim {
    /// Leases at most `limit` deliveries, in the order of messages.
    pub async fn execute(self, connection: &mut Connection) -> QueryResult<Vec<DeliveryAttempt>> {
        let now = clock::now(connection).await?;
        let claim = TimedClaim {
            now,
            priority_deadline: (now.utc() - PRIORITY_WAIT).into(),
            leased_until: (now.utc() + self.lease).into(),
            claim: self,
        };
        match connection {
            Connection::Postgres(connection) => postgres::execute(connection, &claim).await,
            Connection::Sqlite(connection) => {
                connection
                    .spawn_blocking(move |connection| sqlite::execute(connection, &claim))
                    .await
            }
        }
    }
}

/// The deliveries of one bot that can be leased, in order. They are read along an index for each
/// bot, so that the backlog of a bot without workers costs the others nothing.
macro_rules! select_leasable {
    (bot: $bot:literal, now: $now:literal, deadline: $deadline:literal, limit: $limit:literal) => {
        concat!(
            "SELECT delivery.position, delivery.bot_id, delivery.priority \
             FROM bot_deliveries AS delivery \
             JOIN chat_bots ON chat_bots.chat_id = delivery.chat_id \
             AND chat_bots.bot_id = delivery.bot_id \
             WHERE delivery.bot_id = ",
            $bot,
            " AND parked_at IS NULL AND leased_until IS NULL AND available_at <= ",
            $now,
            " AND chat_bots.enabled AND NOT EXISTS ( \
             SELECT 1 FROM bot_deliveries AS first WHERE first.position = delivery.position \
             AND first.priority < delivery.priority AND first.attempt = 0 \
             AND first.created_at > ",
            $deadline,
            ") ORDER BY delivery.position LIMIT ",
            $limit
        )
    };
}
use select_leasable;
