//! Inserting messages: a batch and its chats' `last_message_at`, in one transaction.
//!
//! For speed each database has its own form: PostgreSQL gets a batch as arrays in one statement,
//! which a client cannot leave half done; SQLite runs a few prepared statements for each message in
//! one transaction.

mod postgres;
mod sqlite;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use database::{Connection, with_conn};
use diesel::{ExpressionMethods as _, QueryDsl as _, QueryResult};
use diesel_async::RunQueryDsl as _;

pub(super) use sqlite::insert_in_transaction;

use super::{
    message::{Message, NewMessage},
    tables::chats,
};

/// The result for one message of a batch.
#[derive(Clone, Debug)]
pub enum InsertOutcome {
    /// Stored at this position.
    Stored(i64),
    /// Not stored: this message has the id.
    IdTaken(Message),
    ChatNotFound,
    /// The message that it replies to is not in its chat.
    ReplyNotInChat,
    /// The chat is locked, or the message that it replies to is in the same batch: try again.
    Deferred,
}

/// Stores what can be stored, in one transaction, and returns the outcome of each message.
pub async fn insert(
    connection: &mut Connection,
    batch: &Arc<[NewMessage]>,
) -> QueryResult<Vec<InsertOutcome>> {
    let stored = match connection {
        Connection::Postgres(connection) => postgres::insert(connection, batch).await?,
        Connection::Sqlite(connection) => {
            let batch = Arc::clone(batch);
            connection.spawn_blocking(move |connection| sqlite::insert(connection, &batch)).await?
        }
    };
    let mut outcomes = assign_positions(batch, stored);
    if outcomes.iter().any(Option::is_none) {
        explain(connection, batch, &mut outcomes).await?;
    }
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(InsertOutcome::Deferred)).collect())
}

/// Gives each position to the first message with its id: a batch may contain an id twice.
fn assign_positions(
    batch: &[NewMessage],
    stored: Vec<(String, i64)>,
) -> Vec<Option<InsertOutcome>> {
    let mut stored: HashMap<String, i64> = stored.into_iter().collect();
    batch.iter().map(|message| stored.remove(&message.id).map(InsertOutcome::Stored)).collect()
}

/// Finds out why the messages without an outcome were not stored.
async fn explain(
    connection: &mut Connection,
    batch: &[NewMessage],
    outcomes: &mut [Option<InsertOutcome>],
) -> QueryResult<()> {
    let rest: Vec<&NewMessage> = batch
        .iter()
        .zip(&*outcomes)
        .filter(|(_, outcome)| outcome.is_none())
        .map(|(message, _)| message)
        .collect();
    let ids: Vec<&str> = rest
        .iter()
        .flat_map(|message| [Some(message.id.as_str()), message.reply_to.as_deref()])
        .flatten()
        .collect();
    let chat_ids: Vec<&str> = rest.iter().map(|message| message.chat_id.as_str()).collect();
    let found: HashMap<String, Message> = Message::by_ids(connection, &ids)
        .await?
        .into_iter()
        .map(|message| (message.id.clone(), message))
        .collect();
    let chats: HashSet<String> = with_conn!(connection, c => chats::table
        .filter(chats::id.eq_any(&chat_ids))
        .select(chats::id)
        .load::<String>(c)
        .await)?
    .into_iter()
    .collect();
    for (message, outcome) in batch.iter().zip(outcomes) {
        let is_in_chat = |id: &String| found.get(id).is_some_and(|m| m.chat_id == message.chat_id);
        outcome.get_or_insert_with(|| match found.get(&message.id) {
            Some(taken) => InsertOutcome::IdTaken(taken.clone()),
            None if !chats.contains(&message.chat_id) => InsertOutcome::ChatNotFound,
            None if !message.reply_to.as_ref().is_none_or(is_in_chat) => {
                InsertOutcome::ReplyNotInChat
            }
            None => InsertOutcome::Deferred,
        });
    }
    Ok(())
}
