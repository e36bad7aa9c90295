//! The methods for chats.

use api::chat::v1::{
    CreateChatRequest, CreateChatResponse, DeleteChatRequest, DeleteChatResponse, GetChatRequest,
    GetChatResponse, ListChatsRequest, ListChatsResponse, UpdateChatRequest, UpdateChatResponse,
    get_chat_request::Key,
};
use chrono::DateTime;
use database::{Connection, types::Time};
use diesel::{
    QueryResult,
    result::{DatabaseErrorKind, Error as DieselError},
};
use uuid::Uuid;

use super::{
    convert,
    list::{List, ListKey, read_page},
};
use crate::{
    error::Error,
    models::{
        chat::{Chat, ChatChanges, ChatType, NewChat},
        chat_page::{self, ChatKey},
    },
    store::Store,
    validate,
};

pub(super) const MAX_JID_CHARS: usize = 100;
pub(super) const MAX_NAME_CHARS: usize = 255;

pub(super) async fn create(
    store: &Store,
    request: CreateChatRequest,
) -> Result<CreateChatResponse, Error> {
    let chat = validate::required("chat", request.chat)?;
    let now = Time::now();
    let new = NewChat {
        id: Uuid::now_v7().to_string(),
        jid: validate::text("chat.jid", chat.jid, MAX_JID_CHARS)?,
        name: validate::optional_text("chat.name", chat.name, MAX_NAME_CHARS)?,
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
            let jid = validate::text("jid", jid, MAX_JID_CHARS)?;
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
    let chat_type = validate::chat_type("type", request.r#type)?;
    let connection = &mut store.connection().await?;
    let list = ChatList { wire_type: request.r#type, chat_type };
    let (chats, next_page_token) =
        read_page(&list, connection, request.page_size, &request.page_token).await?;
    Ok(ListChatsResponse { chats, next_page_token })
}

/// Chats of one type, or of all, newest message first.
struct ChatList {
    wire_type: i32,
    chat_type: Option<ChatType>,
}

impl List for ChatList {
    type Row = Chat;
    type Key = ChatKey;
    type Item = api::chat::v1::Chat;

    fn name(&self) -> String {
        format!("chats?type={}", self.wire_type)
    }

    async fn read(
        &self,
        connection: &mut Connection,
        after: Option<ChatKey>,
        limit: usize,
    ) -> QueryResult<Vec<Chat>> {
        chat_page::read(connection, self.chat_type, after.as_ref(), limit).await
    }

    fn key(row: &Chat) -> ChatKey {
        ChatKey::from(row)
    }

    fn convert(row: Chat) -> Self::Item {
        convert::chat(row)
    }
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
            .then(|| validate::optional_text("chat.name", chat.name, MAX_NAME_CHARS))
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

impl ListKey for ChatKey {
    fn encode(&self) -> String {
        let micros = |time: Time| time.utc().timestamp_micros();
        let last = self.last_message_at.map(|time| micros(time).to_string()).unwrap_or_default();
        format!("{last}|{}|{}", micros(self.created_at), self.id)
    }

    fn decode(text: &str) -> Option<Self> {
        let time = |micros: &str| {
            micros.parse().ok().and_then(DateTime::from_timestamp_micros).map(Time::from)
        };
        let (last, rest) = text.split_once('|')?;
        let (created, id) = rest.split_once('|')?;
        Some(Self {
            last_message_at: if last.is_empty() { None } else { Some(time(last)?) },
            created_at: time(created)?,
            id: String::decode(id)?,
        })
    }
}
