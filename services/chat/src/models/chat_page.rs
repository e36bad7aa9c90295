//! Pages of chats: the newest message first, chats without messages last.
//!
//! The databases disagree on where nulls sort, so a page is made of two queries without nulls in
//! their order: first the chats with messages, then those without. Each starts at a keyset and
//! walks an index of migration 0003 backwards, so that a page costs the same anywhere in the list.

use database::{
    Connection,
    types::{Instant, Time},
    with_conn,
};
use diesel::{
    ExpressionMethods as _, IntoSql as _, NullableExpressionMethods as _, QueryDsl as _,
    QueryResult, SelectableHelper as _, sql_types::Text,
};
use diesel_async::RunQueryDsl as _;

use super::{
    chat::{Chat, ChatType},
    limit::limit_page,
    row_value::row_less_than,
    tables::chats,
};

/// A chat's sort key in the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChatKey {
    /// Time of the newest message; `None` before the first.
    pub last_message_at: Option<Time>,
    /// Time of creation.
    pub created_at: Time,
    /// The chat's id.
    pub id: String,
}

impl From<&Chat> for ChatKey {
    fn from(chat: &Chat) -> Self {
        Self {
            last_message_at: chat.last_message_at,
            created_at: chat.created_at,
            id: chat.id.clone(),
        }
    }
}

/// At most `limit` chats after a key, of one type or of all.
///
/// # Errors
/// The database refuses a query.
pub async fn read(
    connection: &mut Connection,
    chat_type: Option<ChatType>,
    after: Option<&ChatKey>,
    limit: usize,
) -> QueryResult<Vec<Chat>> {
    let (first, second) = match after {
        None => (Some(Part::WithMessages(None)), Part::WithoutMessages(None)),
        Some(ChatKey { last_message_at: Some(at), created_at, id }) => {
            (Some(Part::WithMessages(Some((*at, *created_at, id)))), Part::WithoutMessages(None))
        }
        Some(ChatKey { last_message_at: None, created_at, id }) => {
            (None, Part::WithoutMessages(Some((*created_at, id))))
        }
    };
    let mut chats = match first {
        Some(first) => read_part(connection, chat_type, first, limit).await?,
        None => Vec::new(),
    };
    if chats.len() < limit {
        chats.extend(read_part(connection, chat_type, second, limit - chats.len()).await?);
    }
    Ok(chats)
}

/// A part of the list, from its start or after a keyset.
enum Part<'a> {
    WithMessages(Option<(Time, Time, &'a str)>),
    WithoutMessages(Option<(Time, &'a str)>),
}

async fn read_part(
    connection: &mut Connection,
    chat_type: Option<ChatType>,
    part: Part<'_>,
    limit: usize,
) -> QueryResult<Vec<Chat>> {
    with_conn!(connection, c => {
        let mut query = chats::table
            .select(Chat::as_select())
            .order((chats::last_message_at.desc(), chats::created_at.desc(), chats::id.desc()))
            .into_boxed();
        if let Some(chat_type) = chat_type {
            query = query.filter(chats::chat_type.eq(chat_type));
        }
        query = match part {
            Part::WithMessages(None) => query.filter(chats::last_message_at.is_not_null()),
            Part::WithMessages(Some((at, created_at, id))) => query.filter(row_less_than(
                (chats::last_message_at.assume_not_null(), chats::created_at, chats::id),
                (at.into_sql::<Instant>(), created_at.into_sql::<Instant>(), id.into_sql::<Text>()),
            )),
            Part::WithoutMessages(None) => query.filter(chats::last_message_at.is_null()),
            Part::WithoutMessages(Some((created_at, id))) => {
                query.filter(chats::last_message_at.is_null()).filter(row_less_than(
                    (chats::created_at, chats::id),
                    (created_at.into_sql::<Instant>(), id.into_sql::<Text>()),
                ))
            }
        };
        limit_page(limit, query).load(c).await
    })
}
