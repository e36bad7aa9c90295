//! Answering a delivery: deletes the delivery, keeps the answer and stores the reply as a message,
//! all or nothing, and only if the delivery is still at the attempt that was answered.
//!
//! As in [`schedule_run`](super::schedule_run), PostgreSQL does it in one statement, which a client
//! cannot leave half done, and SQLite in one transaction within one closure.

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
    delivery::DeliveryAttempt,
    message::NewMessage,
    tables::{bot_deliveries as deliveries, bots, messages, processed_messages},
};

/// A message that a bot answered.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = processed_messages, treat_none_as_default_value = false)]
pub struct ProcessedMessage {
    pub id: String,
    pub message_id: String,
    pub chat_id: Option<String>,
    pub bot_id: Option<String>,
    /// The message's body, in rows that another program wrote.
    pub content: Option<String>,
    /// The reply; `None` for an answer without one.
    pub response: Option<String>,
    pub metadata: Json,
    pub processed_at: Time,
}

/// What an answer to a delivery refers to.
#[derive(Clone, Debug, Queryable)]
pub struct AnswerContext {
    pub message_id: String,
    pub chat_id: String,
    pub bot: Bot,
}

#[derive(Clone, Debug)]
pub struct DeliveryAnswer {
    pub attempt: DeliveryAttempt,
    pub processed: ProcessedMessage,
    pub reply: Option<NewMessage>,
}

impl AnswerContext {
    /// The context of an attempt; `None` if the delivery is not at that attempt, or its bot is of
    /// another type.
    pub async fn find(
        connection: &mut Connection,
        attempt: &DeliveryAttempt,
        bot_type: &str,
    ) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => deliveries::table
            .inner_join(messages::table.on(messages::position.eq(deliveries::position)))
            .inner_join(bots::table.on(bots::id.eq(deliveries::bot_id)))
            .filter(deliveries::position.eq(attempt.position))
            .filter(deliveries::bot_id.eq(&attempt.bot_id))
            .filter(deliveries::attempt.eq(attempt.attempt))
            .filter(bots::kind.eq(bot_type))
            .select((messages::id, deliveries::chat_id, Bot::as_select()))
            .first(c)
            .await
            .optional())
    }
}

impl DeliveryAnswer {
    /// Stores the answer; returns whether it did. It does not if the delivery has left the attempt,
    /// or while another transaction locks the row of the delivery, the chat or the bot.
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
