//! The methods for assignments.

use api::chat::v1::{
    AssignBotRequest, AssignBotResponse, ListAssignmentsRequest, ListAssignmentsResponse,
    UnassignBotRequest, UnassignBotResponse,
};
use database::types::Time;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use uuid::Uuid;

use super::convert;
use crate::{
    bots::fanout::Fanout,
    error::Error,
    models::{assignment::Assignment, bot::Bot, chat::Chat},
    store::Store,
    validate,
};

pub(super) async fn assign(
    store: &Store,
    fanout: &Fanout,
    request: AssignBotRequest,
) -> Result<AssignBotResponse, Error> {
    let given = validate::required("assignment", request.assignment)?;
    let now = Time::now();
    let new = Assignment {
        id: Uuid::now_v7().to_string(),
        chat_id: validate::id("assignment.chat_id", given.chat_id)?,
        bot_id: validate::id("assignment.bot_id", given.bot_id)?,
        config_override: validate::metadata("assignment.config_override", given.config_override)?,
        enabled: given.enabled,
        priority: given.priority,
        created_at: now,
        updated_at: now,
        since_position: 0,
    };
    let (chat_id, bot_id) = (new.chat_id.clone(), new.bot_id.clone());
    let connection = &mut store.connection().await?;
    if Chat::by_id(connection, &chat_id).await?.is_none() {
        return Err(Error::ChatNotFound(chat_id));
    }
    if Bot::by_id(connection, &bot_id).await?.is_none() {
        return Err(Error::BotNotFound(bot_id));
    }
    let stored = match new.upsert(connection).await {
        // One of them was deleted in between.
        Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {
            return Err(match Chat::by_id(connection, &chat_id).await? {
                None => Error::ChatNotFound(chat_id),
                Some(_) => Error::BotNotFound(bot_id),
            });
        }
        stored => stored?,
    };
    fanout.notify_bots_enabled();
    Ok(AssignBotResponse { assignment: Some(convert::assignment(stored)) })
}

pub(super) async fn unassign(
    store: &Store,
    request: UnassignBotRequest,
) -> Result<UnassignBotResponse, Error> {
    let chat = validate::id("chat_id", request.chat_id)?;
    let bot = validate::id("bot_id", request.bot_id)?;
    if Assignment::delete(&mut store.connection().await?, &chat, &bot).await? {
        Ok(UnassignBotResponse {})
    } else {
        Err(Error::AssignmentNotFound { chat, bot })
    }
}

pub(super) async fn list(
    store: &Store,
    request: ListAssignmentsRequest,
) -> Result<ListAssignmentsResponse, Error> {
    let chat_id = validate::id("chat_id", request.chat_id)?;
    let connection = &mut store.connection().await?;
    let assignments = Assignment::by_chat(connection, &chat_id).await?;
    if assignments.is_empty() && Chat::by_id(connection, &chat_id).await?.is_none() {
        return Err(Error::ChatNotFound(chat_id));
    }
    let assignments = assignments.into_iter().map(convert::assignment).collect();
    Ok(ListAssignmentsResponse { assignments })
}
