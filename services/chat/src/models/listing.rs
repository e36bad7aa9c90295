//! Listing chats page by page: the newest message first, chats without one last.
//!
//! Nulls sort first on one database and last on the other, so a page is cut in two queries that
//! never meet one: first the chats with a message, then those without. Each starts at a keyset
//! and walks an index of migration 0003 backwards, so that a page costs the same wherever it is.

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
    first::first_asked,
    row::row_before,
    tables::chats,
};

/// Where a chat stands in the listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// When its newest message was sent.
    pub last_message_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
    /// Its id.
    pub id: String,
}

impl From<&Chat> for Place {
    fn from(chat: &Chat) -> Self {
        Self {
            last_message_at: chat.last_message_at,
            created_at: chat.created_at,
            id: chat.id.clone(),
        }
    }
}

/// At most `limit` chats, of one type where one is given, from behind a place on.
pub async fn page(
    connection: &mut Connection,
    of: Option<ChatType>,
    after: Option<&Place>,
    limit: usize,
) -> QueryResult<Vec<Chat>> {
    let (first, second) = match after {
        None => (Some(Part::Spoken(None)), Part::Silent(None)),
        Some(Place { last_message_at: Some(at), created_at, id }) => {
            (Some(Part::Spoken(Some((*at, *created_at, id)))), Part::Silent(None))
        }
        Some(Place { last_message_at: None, created_at, id }) => {
            (None, Part::Silent(Some((*created_at, id))))
        }
    };
    let mut chats = match first {
        Some(first) => walk(connection, of, first, limit).await?,
        None => Vec::new(),
    };
    if chats.len() < limit {
        chats.extend(walk(connection, of, second, limit - chats.len()).await?);
    }
    Ok(chats)
}

/// A part of the listing, from behind a keyset on.
enum Part<'a> {
    /// The chats with a message.
    Spoken(Option<(Time, Time, &'a str)>),
    /// The chats without one.
    Silent(Option<(Time, &'a str)>),
}

async fn walk(
    connection: &mut Connection,
    of: Option<ChatType>,
    part: Part<'_>,
    limit: usize,
) -> QueryResult<Vec<Chat>> {
    with_conn!(connection, c => {
        let mut query = chats::table
            .select(Chat::as_select())
            .order((chats::last_message_at.desc(), chats::created_at.desc(), chats::id.desc()))
            .into_boxed();
        if let Some(of) = of {
            query = query.filter(chats::chat_type.eq(of));
        }
        query = match part {
            Part::Spoken(None) => query.filter(chats::last_message_at.is_not_null()),
            Part::Spoken(Some((at, created_at, id))) => query.filter(row_before(
                (chats::last_message_at.assume_not_null(), chats::created_at, chats::id),
                (at.into_sql::<Instant>(), created_at.into_sql::<Instant>(), id.into_sql::<Text>()),
            )),
            Part::Silent(None) => query.filter(chats::last_message_at.is_null()),
            Part::Silent(Some((created_at, id))) => {
                query.filter(chats::last_message_at.is_null()).filter(row_before(
                    (chats::created_at, chats::id),
                    (created_at.into_sql::<Instant>(), id.into_sql::<Text>()),
                ))
            }
        };
        first_asked(limit, query).load(c).await
    })
}
