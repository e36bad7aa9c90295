//! PostgreSQL's way: one statement.

use common::database::{
    PostgresConnection,
    types::{Instant, JsonDocument},
};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Bool, Integer, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;

use super::Answer;

#[derive(QueryableByName)]
struct Done {
    #[diesel(sql_type = Bool)]
    done: bool,
}

/// Does it, and says whether it was done.
pub(super) async fn store(
    connection: &mut PostgresConnection,
    answer: &Answer,
) -> QueryResult<bool> {
    // An insert into `messages` takes the lock of their order even where it inserts nothing: who
    // has nothing to say does not ask for it.
    let statement = match &answer.reply {
        Some(_) => format!("{KEEP}{SAY}{DONE}"),
        None => format!("{KEEP}{DONE}"),
    };
    let query = diesel::sql_query(statement)
        .bind::<BigInt, _>(answer.to.position)
        .bind::<Text, _>(&answer.to.bot_id)
        .bind::<Integer, _>(answer.to.attempt)
        .bind::<Text, _>(&answer.kept.id)
        .bind::<Text, _>(&answer.kept.message_id)
        .bind::<Nullable<Text>, _>(&answer.kept.response)
        .bind::<Instant, _>(answer.kept.processed_at);
    let Done { done } = match &answer.reply {
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
    Ok(done)
}

/// Every lock is had at the start, or nothing is done: no wait may come while the order of all
/// messages is held.
const KEEP: &str = "\
WITH open AS ( \
SELECT delivery.position, delivery.bot_id, delivery.chat_id FROM bot_deliveries AS delivery \
JOIN chats ON chats.id = delivery.chat_id JOIN bots ON bots.id = delivery.bot_id \
WHERE delivery.position = $1 AND delivery.bot_id = $2 AND delivery.attempt = $3 \
FOR UPDATE OF delivery SKIP LOCKED FOR NO KEY UPDATE OF chats SKIP LOCKED \
FOR KEY SHARE OF bots SKIP LOCKED), \
gone AS ( \
DELETE FROM bot_deliveries AS delivery USING open \
WHERE delivery.position = open.position AND delivery.bot_id = open.bot_id \
RETURNING open.chat_id, open.bot_id), \
kept AS ( \
INSERT INTO processed_messages (id, message_id, chat_id, bot_id, response, processed_at) \
SELECT $4, $5, chat_id, bot_id, $6, $7 FROM gone \
ON CONFLICT (message_id, bot_id) DO NOTHING RETURNING chat_id)";

const SAY: &str = ", \
stored AS ( \
INSERT INTO messages (id, chat_id, sender, body, reply_to, metadata, sent_at) \
SELECT $8, chat_id, $9, $6, $5, $10, $7 FROM kept \
ON CONFLICT (id) DO NOTHING RETURNING chat_id), \
moved AS ( \
UPDATE chats SET last_message_at = $7 FROM stored WHERE chats.id = stored.chat_id \
AND (last_message_at IS NULL OR last_message_at < $7))";

const DONE: &str = " SELECT EXISTS (SELECT FROM gone) AS done";
