//! A single message is sent as plain values, not as arrays of one. The planner makes a new plan for
//! each execution with arrays, because it cannot know their length, and planning takes longer than
//! storing one message; a statement of plain values keeps its plan.

use database::{
    PostgresConnection,
    types::{Instant, Json, JsonDocument, Time},
};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::{DatabaseErrorKind, Error},
    sql_types::{Array, BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;

use crate::models::message::NewMessage;

/// Attempts for a batch with a chat that is deleted between the snapshot and the insert.
const MAX_ATTEMPTS: usize = 3;

/// Stores what can be stored; returns ids and positions.
pub(super) async fn insert(
    connection: &mut PostgresConnection,
    batch: &[NewMessage],
) -> QueryResult<Vec<(String, i64)>> {
    for _ in 1..MAX_ATTEMPTS {
        match insert_once(connection, batch).await {
            Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {}
            result => return result,
        }
    }
    insert_once(connection, batch).await
}

async fn insert_once(
    connection: &mut PostgresConnection,
    batch: &[NewMessage],
) -> QueryResult<Vec<(String, i64)>> {
    match batch {
        [message] => Single(message).load(connection).await,
        batch => Batch::from(batch).load(connection).await,
    }
}

struct Single<'a>(&'a NewMessage);

impl QueryId for Single<'_> {
    type QueryId = Single<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Single<'_> {
    type SqlType = (Text, BigInt);
}

impl QueryFragment<Pg> for Single<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH given AS (SELECT ");
        out.push_bind_param::<Text, _>(&self.0.id)?;
        out.push_sql(" AS id, ");
        out.push_bind_param::<Text, _>(&self.0.chat_id)?;
        out.push_sql(" AS chat_id, ");
        out.push_bind_param::<Text, _>(&self.0.sender)?;
        out.push_sql(" AS sender, ");
        out.push_bind_param::<Text, _>(&self.0.body)?;
        out.push_sql(" AS body, ");
        out.push_bind_param::<Nullable<Text>, _>(&self.0.reply_to)?;
        out.push_sql(" AS reply_to, ");
        out.push_bind_param::<JsonDocument, _>(&self.0.metadata)?;
        out.push_sql(" AS metadata, ");
        out.push_bind_param::<Instant, _>(&self.0.sent_at)?;
        out.push_sql(" AS sent_at, 1 AS nth)");
        out.push_sql(STORE);
        Ok(())
    }
}

/// The messages of a batch, column by column.
#[derive(Default)]
struct Batch<'a> {
    ids: Vec<&'a str>,
    chat_ids: Vec<&'a str>,
    senders: Vec<&'a str>,
    bodies: Vec<&'a str>,
    replies_to: Vec<Option<&'a str>>,
    metadata: Vec<&'a Json>,
    sent_at: Vec<Time>,
}

impl<'a> From<&'a [NewMessage]> for Batch<'a> {
    fn from(messages: &'a [NewMessage]) -> Self {
        let mut batch = Self::default();
        for message in messages {
            batch.ids.push(&message.id);
            batch.chat_ids.push(&message.chat_id);
            batch.senders.push(&message.sender);
            batch.bodies.push(&message.body);
            batch.replies_to.push(message.reply_to.as_deref());
            batch.metadata.push(&message.metadata);
            batch.sent_at.push(message.sent_at);
        }
        batch
    }
}

impl Query for Batch<'_> {
    type SqlType = (Text, BigInt);
}

impl QueryId for Batch<'_> {
    type QueryId = Batch<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Batch<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH given AS (SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.chat_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.senders)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.bodies)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.replies_to)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<JsonDocument>, _>(&self.metadata)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Instant>, _>(&self.sent_at)?;
        out.push_sql(
            ") WITH ORDINALITY \
             AS given (id, chat_id, sender, body, reply_to, metadata, sent_at, nth))",
        );
        out.push_sql(STORE);
        Ok(())
    }
}

/// Locked chats are left out, and their messages tried again: a long transaction elsewhere never
/// makes this statement wait while it holds the lock of the order of messages.
const STORE: &str = ", \
open AS ( \
SELECT id FROM chats WHERE id IN (SELECT chat_id FROM given) FOR NO KEY UPDATE SKIP LOCKED), \
stored AS ( \
INSERT INTO messages (id, chat_id, sender, body, reply_to, metadata, sent_at) \
SELECT given.id, chat_id, sender, body, reply_to, metadata, sent_at \
FROM given JOIN open ON open.id = chat_id \
WHERE reply_to IS NULL \
OR chat_id = (SELECT answered.chat_id FROM messages AS answered WHERE answered.id = given.reply_to) \
ORDER BY nth ON CONFLICT (id) DO NOTHING RETURNING id, chat_id, position, sent_at), \
moved AS ( \
UPDATE chats SET last_message_at = newest.sent_at \
FROM (SELECT chat_id, max(sent_at) AS sent_at FROM stored GROUP BY chat_id) AS newest \
WHERE chats.id = newest.chat_id \
AND (last_message_at IS NULL OR last_message_at < newest.sent_at)) \
SELECT id, position FROM stored";
