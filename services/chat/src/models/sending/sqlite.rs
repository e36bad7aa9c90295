//! SQLite's way: prepared statements, message by message, in one transaction of one closure.

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

/// Stores what can be stored; returns their ids and positions.
pub(super) fn store(
    connection: &mut SqliteConnection,
    batch: &[NewMessage],
) -> QueryResult<Vec<(String, i64)>> {
    // What a caller was told is there must survive a power cut; a batch pays for it once.
    connection.batch_execute("PRAGMA synchronous = FULL")?;
    connection.immediate_transaction(|connection| store_within(connection, batch))
}

/// The same, in a transaction that is open already.
pub(in crate::models) fn store_within(
    connection: &mut SqliteConnection,
    batch: &[NewMessage],
) -> QueryResult<Vec<(String, i64)>> {
    let mut stored = Vec::with_capacity(batch.len());
    let mut newest: HashMap<&str, Time> = HashMap::new();
    for message in batch {
        if let Some(position) = insert(connection, message)? {
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

fn insert(connection: &mut SqliteConnection, message: &NewMessage) -> QueryResult<Option<i64>> {
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
        // There is no such chat. The statement is undone, the transaction goes on.
        Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => Ok(None),
        inserted => inserted,
    }
}
