use database::{
    PostgresConnection,
    types::{Instant, JsonDocument},
};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Bool, Integer, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;

use super::DeliveryAnswer;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    is_stored: bool,
}

pub(super) async fn store(
    connection: &mut PostgresConnection,
    answer: &DeliveryAnswer,
) -> QueryResult<bool> {
    let statement = if answer.reply.is_some() { STORE_WITH_REPLY } else { STORE };
    let query = diesel::sql_query(statement)
        .bind::<BigInt, _>(answer.attempt.position)
        .bind::<Text, _>(&answer.attempt.bot_id)
        .bind::<Integer, _>(answer.attempt.attempt)
        .bind::<Text, _>(&answer.processed.id)
        .bind::<Text, _>(&answer.processed.message_id)
        .bind::<Nullable<Text>, _>(&answer.processed.response)
        .bind::<Instant, _>(answer.processed.processed_at);
    let Row { is_stored } = match &answer.reply {
        None => query.get_result(connection).await?,
        Some(reply) => {
            query
                .bind::<Text, _>(&reply.id)
                .bind::<Text, _>(&reply.sender)
                .bind::<JsonDocument, _>(&reply.metadata)
                .get_result(connection)
                .await?
        }
    };
    Ok(is_stored)
}

/// Locks every row first, or does nothing: the statement must not wait once it holds the lock of
/// the order of messages.
macro_rules! keep_answer {
    () => {
        "WITH open AS ( \
         SELECT delivery.position, delivery.bot_id, delivery.chat_id \
         FROM bot_deliveries AS delivery \
         JOIN chats ON chats.id = delivery.chat_id JOIN bots ON bots.id = delivery.bot_id \
         WHERE delivery.position = $1 AND delivery.bot_id = $2 AND delivery.attempt = $3 \
         FOR UPDATE OF delivery SKIP LOCKED FOR NO KEY UPDATE OF chats SKIP LOCKED \
         FOR KEY SHARE OF bots SKIP LOCKED), \
         deleted AS ( \
         DELETE FROM bot_deliveries AS delivery USING open \
         WHERE delivery.position = open.position AND delivery.bot_id = open.bot_id \
         RETURNING open.chat_id, open.bot_id), \
         kept AS ( \
         INSERT INTO processed_messages (id, message_id, chat_id, bot_id, response, processed_at) \
         SELECT $4, $5, chat_id, bot_id, $6, $7 FROM deleted \
         ON CONFLICT (message_id, bot_id) DO NOTHING RETURNING chat_id)"
    };
}

const STORE: &str = concat!(keep_answer!(), " SELECT EXISTS (SELECT FROM deleted) AS is_stored");

/// A statement of its own: an insert into `messages` takes the lock of their order even where it
/// inserts nothing.
const STORE_WITH_REPLY: &str = concat!(
    keep_answer!(),
    ", stored AS ( \
     INSERT INTO messages (id, chat_id, sender, body, reply_to, metadata, sent_at) \
     SELECT $8, chat_id, $9, $6, $5, $10, $7 FROM kept \
     ON CONFLICT (id) DO NOTHING RETURNING chat_id), \
     moved AS ( \
     UPDATE chats SET last_message_at = $7 FROM stored WHERE chats.id = stored.chat_id \
     AND (last_message_at IS NULL OR last_message_at < $7)) \
     SELECT EXISTS (SELECT FROM deleted) AS is_stored"
);
