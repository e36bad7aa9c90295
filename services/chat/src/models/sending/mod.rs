//! Sending: many messages and their chats' `last_message_at`, in one transaction.
//!
//! Here the databases part, since speed is the point: PostgreSQL takes a batch as arrays in one
//! statement, which is a transaction that no client can stall; SQLite as a few prepared
//! statements again and again inside its own process.

mod postgres;
pub(super) mod sqlite;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use database::{Connection, with_conn};
use diesel::{ExpressionMethods as _, QueryDsl as _, QueryResult};
use diesel_async::RunQueryDsl as _;

use super::{
    message::{Message, NewMessage},
    tables::chats,
};

/// What became of a message.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is stored, at this position.
    Stored(i64),
    /// This message has its id.
    Taken(Message),
    /// There is no such chat.
    NoChat,
    /// The message that it answers is not in its chat.
    NoReply,
    /// Its chat is locked, or another message of the batch had to come first: try again.
    Later,
}

/// Stores what can be stored, all of it or none, and says what became of each message.
pub async fn store(
    connection: &mut Connection,
    batch: &Arc<[NewMessage]>,
) -> QueryResult<Vec<Outcome>> {
    let stored = match connection {
        Connection::Postgres(connection) => postgres::store(connection, batch).await?,
        Connection::Sqlite(connection) => {
            let batch = Arc::clone(batch);
            connection.spawn_blocking(move |connection| sqlite::store(connection, &batch)).await?
        }
    };
    let mut outcomes: Vec<Option<Outcome>> = take(batch, stored);
    if outcomes.iter().any(Option::is_none) {
        explain(connection, batch, &mut outcomes).await?;
    }
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Later)).collect())
}

/// Gives each position to the first message of its id: a batch may hold one twice.
fn take(batch: &[NewMessage], stored: Vec<(String, i64)>) -> Vec<Option<Outcome>> {
    let mut stored: HashMap<String, i64> = stored.into_iter().collect();
    batch.iter().map(|message| stored.remove(&message.id).map(Outcome::Stored)).collect()
}

/// Says why the rest was not stored.
async fn explain(
    connection: &mut Connection,
    batch: &[NewMessage],
    outcomes: &mut [Option<Outcome>],
) -> QueryResult<()> {
    let rest: Vec<&NewMessage> =
        batch.iter().zip(&*outcomes).filter(|(_, o)| o.is_none()).map(|(m, _)| m).collect();
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
        let answers = |id: &String| found.get(id).is_some_and(|m| m.chat_id == message.chat_id);
        outcome.get_or_insert_with(|| match found.get(&message.id) {
            Some(taken) => Outcome::Taken(taken.clone()),
            None if !chats.contains(&message.chat_id) => Outcome::NoChat,
            None if !message.reply_to.as_ref().is_none_or(answers) => Outcome::NoReply,
            None => Outcome::Later,
        });
    }
    Ok(())
}
