//! Chats, one at a time and page by page.

use api::chat::v1::{
    CreateChatRequest, CreateChatResponse, DeleteChatRequest, DeleteChatResponse, GetChatRequest,
    GetChatResponse, ListChatsRequest, ListChatsResponse, UpdateChatRequest, UpdateChatResponse,
    get_chat_request::Key,
};
use chrono::DateTime;
use database::types::Time;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use uuid::Uuid;
use wire::{
    Problem,
    page::{self, Page},
};

use super::convert;
use crate::{
    error::Error,
    models::{
        chat::{Chat, ChatChanges, NewChat},
        chat_page::{self, ChatKey},
    },
    store::Store,
    validate,
};

pub(super) const JID_LENGTH: usize = 100;
pub(super) const NAME_LENGTH: usize = 255;

pub(super) async fn create(
    store: &Store,
    request: CreateChatRequest,
) -> Result<CreateChatResponse, Error> {
    let chat = validate::required("chat", request.chat)?;
    let now = Time::now();
    let new = NewChat {
        id: Uuid::now_v7().to_string(),
        jid: validate::text("chat.jid", chat.jid, JID_LENGTH)?,
        name: validate::optional_text("chat.name", chat.name, NAME_LENGTH)?,
        chat_type: validate::chat_type("chat.type", chat.r#type)?,
        metadata: validate::metadata("chat.metadata", chat.metadata)?,
        created_at: now,
        updated_at: now,
        last_message_at: None,
    };
    let stored = new.insert(&mut store.connection().await?).await.map_err(|error| match error {
        // The id is new: what is taken is the jid.
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            Error::JidTaken(new.jid)
        }
        error => error.into(),
    })?;
    Ok(CreateChatResponse { chat: Some(convert::chat(stored)) })
}

pub(super) async fn get(store: &Store, request: GetChatRequest) -> Result<GetChatResponse, Error> {
    let connection = &mut store.connection().await?;
    let (found, key) = match validate::required("key", request.key)? {
        Key::Id(id) => {
            let id = validate::id("id", id)?;
            (Chat::by_id(connection, &id).await?, id)
        }
        Key::Jid(jid) => {
            let jid = validate::text("jid", jid, JID_LENGTH)?;
            (Chat::by_jid(connection, &jid).await?, jid)
        }
    };
    let chat = found.ok_or(Error::ChatNotFound(key))?;
    Ok(GetChatResponse { chat: Some(convert::chat(chat)) })
}

pub(super) async fn list(
    store: &Store,
    request: ListChatsRequest,
) -> Result<ListChatsResponse, Error> {
    let mut page = Page::of(request.page_size)?;
    let of = validate::chat_type("type", request.r#type)?;
    let filter = format!("chats?type={}", request.r#type);
    let mut after = match page::read(&request.page_token, &filter)? {
        Some(key) => Some(place(&key)?),
        None => None,
    };
    let connection = &mut store.connection().await?;
    loop {
        let read = chat_page::read(connection, of, after.as_ref(), page.wanted()).await?;
        after = read.last().map(ChatKey::from);
        if !page.take(read, key, convert::chat) {
            break;
        }
    }
    let (chats, next_page_token) = page.end(&filter);
    Ok(ListChatsResponse { chats, next_page_token })
}

pub(super) async fn update(
    store: &Store,
    request: UpdateChatRequest,
) -> Result<UpdateChatResponse, Error> {
    let chat = validate::required("chat", request.chat)?;
    let id = validate::id("chat.id", chat.id)?;
    let [name, kind, metadata] = validate::mask(request.update_mask, ["name", "type", "metadata"])?;
    let changes = ChatChanges {
        name: name
            .then(|| validate::optional_text("chat.name", chat.name, NAME_LENGTH))
            .transpose()?,
        chat_type: kind.then(|| validate::chat_type("chat.type", chat.r#type)).transpose()?,
        metadata: metadata
            .then(|| validate::metadata("chat.metadata", chat.metadata))
            .transpose()?,
        updated_at: Time::now(),
    };
    let changed = Chat::update(&mut store.connection().await?, &id, &changes).await?;
    let chat = changed.ok_or(Error::ChatNotFound(id))?;
    Ok(UpdateChatResponse { chat: Some(convert::chat(chat)) })
}

pub(super) async fn delete(
    store: &Store,
    request: DeleteChatRequest,
) -> Result<DeleteChatResponse, Error> {
    let id = validate::id("id", request.id)?;
    if Chat::delete(&mut store.connection().await?, &id).await? {
        Ok(DeleteChatResponse {})
    } else {
        Err(Error::ChatNotFound(id))
    }
}

/// A chat's place in the listing, as a page token keeps it.
fn key(chat: &Chat) -> String {
    let micros = |time: Time| time.utc().timestamp_micros();
    let last = chat.last_message_at.map(|time| micros(time).to_string()).unwrap_or_default();
    format!("{last}|{}|{}", micros(chat.created_at), chat.id)
}

fn place(key: &str) -> Result<ChatKey, Problem> {
    let time = |micros: &str| {
        micros.parse().ok().and_then(DateTime::from_timestamp_micros).map(Time::from)
    };
    let parsed = || {
        let (last, rest) = key.split_once('|')?;
        let (created, id) = rest.split_once('|')?;
        Some(ChatKey {
            last_message_at: if last.is_empty() { None } else { Some(time(last)?) },
            created_at: time(created)?,
            id: validate::id("id", id.to_owned()).ok()?,
        })
    };
    parsed().ok_or_else(page::foreign)
}
