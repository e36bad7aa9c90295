use std::collections::HashMap;

use database::types::Time;
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _,
    QueryResult, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
    result::{DatabaseErrorKind, Error},
};

use crate::models::{
    message::NewMessage,
    tables::{chats, messages},
};

/// Stores what can be stored; returns ids and positions.
pub(super) fn insert(
    connection: &mut SqliteConnection,
    batch: &[NewMessage],
) -> QueryResult<Vec<(String, i64)>> {
    // A message whose caller got an answer must survive a power failure; a batch pays for it once.
    connection.batch_execute("PRAGMA synchronous = FULL")?;
    connection.immediate_transaction(|connection| insert_in_transaction(connection, batch))
}

/// The same, within a transaction of the caller.
pub(in crate::models) fn insert_in_transaction(
    connection: &mut SqliteConnection,
    batch: &[NewMessage],
) -> QueryResult<Vec<(String, i64)>> {
    let mut stored = Vec::with_capacity(batch.len());
    let mut newest: HashMap<&str, Time> = HashMap::new();
    for message in batch {
        if let Some(position) = insert_one(connection, message)? {
            stored.push((message.id.clone(), position));
            let newest = newest.entry(&message.chat_id).or_insert(message.sent_at);
            *newest = message.sent_at.max(*newest);
        }
    }
    for (chat_id, sent_at) in newest {
        let earlier = chats::last_message_at.is_null().or(chats::last_message_at.lt(sent_at));
        diesel::update(chats::table.find(chat_id).filter(earlier))
            .set(chats::last_message_at.eq(sent_at))
            .execute(connection)?;
    }
    Ok(stored)
}

fn insert_one(connection: &mut SqliteConnection, message: &NewMessage) -> QueryResult<Option<i64>> {
    if let Some(reply_to) = &message.reply_to {
        let answered = messages::table
            .filter(messages::id.eq(reply_to))
            .filter(messages::chat_id.eq(&message.chat_id))
            .select(messages::position)
            .first::<i64>(connection)
            .optional()?;
        if answered.is_none() {
            return Ok(None);
        }
    }
    let inserted = diesel::insert_into(messages::table)
        .values(message)
        .on_conflict(messages::id)
        .do_nothing()
        .returning(messages::position)
        .get_result(connection)
        .optional();
    match inserted {
        // The chat does not exist. SQLite undoes the statement only.
        Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => Ok(None),
        inserted => inserted,
    }
}
