//! Answering: a delivery goes, its answer is kept, and what the bot says becomes a message, all of
//! it or nothing, and only where the delivery is at the attempt that was answered.
//!
//! As in [`running`](super::running) the databases part: PostgreSQL takes it as one statement,
//! which no client can stall; SQLite as one transaction of one closure.

mod postgres;
mod sqlite;

use database::{
    Connection,
    types::{Json, Time},
    with_conn,
};
use diesel::{
    ExpressionMethods as _, Insertable, JoinOnDsl as _, OptionalExtension as _, QueryDsl as _,
    QueryResult, Queryable, Selectable, SelectableHelper as _,
};
use diesel_async::RunQueryDsl as _;

use super::{
    bot::Bot,
    claiming::Claimed,
    message::NewMessage,
    tables::{bot_deliveries as deliveries, bots, messages, processed_messages},
};

/// A row of `processed_messages`: a message that a bot answered.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = processed_messages, treat_none_as_default_value = false)]
pub struct Processed {
    /// A UUID, as text.
    pub id: String,
    /// The message.
    pub message_id: String,
    /// Its chat.
    pub chat_id: Option<String>,
    /// The bot that answered.
    pub bot_id: Option<String>,
    /// The message's body, where another program wrote this row.
    pub content: Option<String>,
    /// The answer, whole.
    pub response: Option<String>,
    /// A JSON object.
    pub metadata: Json,
    /// When it was answered.
    pub processed_at: Time,
}

/// What is answered: a delivery that stands at an attempt.
#[derive(Clone, Debug, Queryable)]
pub struct Open {
    /// The message's id.
    pub message_id: String,
    /// Its chat.
    pub chat_id: String,
    /// Who answers.
    pub bot: Bot,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of what.
    pub to: Claimed,
    /// What is kept of it.
    pub kept: Processed,
    /// What the bot says, if anything.
    pub reply: Option<NewMessage>,
}

impl Open {
    /// The delivery at this attempt, of a bot of this type.
    pub async fn find(
        connection: &mut Connection,
        claimed: &Claimed,
        kind: &str,
    ) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => deliveries::table
            .inner_join(messages::table.on(messages::position.eq(deliveries::position)))
            .inner_join(bots::table.on(bots::id.eq(deliveries::bot_id)))
            .filter(deliveries::position.eq(claimed.position))
            .filter(deliveries::bot_id.eq(&claimed.bot_id))
            .filter(deliveries::attempt.eq(claimed.attempt))
            .filter(bots::kind.eq(kind))
            .select((messages::id, deliveries::chat_id, Bot::as_select()))
            .first(c)
            .await
            .optional())
    }
}

impl Answer {
    /// Does it, and says whether it was done. Not done: the delivery is at that attempt no more, or
    /// others hold its row, its chat's or its bot's.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn store(&self, connection: &mut Connection) -> QueryResult<bool> {
        match connection {
            Connection::Postgres(connection) => postgres::store(connection, self).await,
            Connection::Sqlite(connection) => {
                let answer = self.clone();
                connection
                    .spawn_blocking(move |connection| sqlite::store(connection, &answer))
                    .await
            }
        }
    }
}
