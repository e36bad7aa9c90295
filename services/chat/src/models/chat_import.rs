//! Import of chats: upserts many rows by jid.
//!
//! For speed each database has its own form: PostgreSQL gets all rows as arrays in one statement,
//! SQLite runs one prepared statement for each row in one transaction.

use std::sync::Arc;

use database::{
    Connection,
    types::{Instant, Json, JsonDocument, Time},
};
use diesel::{
    ExpressionMethods as _, QueryResult, RunQueryDsl as _, SqliteConnection, define_sql_function,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Nullable, SingleValue, Text},
    upsert::excluded,
};

use super::{
    chat::{ChatType, NewChat},
    tables::chats,
};

define_sql_function! {
    /// SQL's `coalesce` of two values.
    fn coalesce<T: SingleValue>(a: Nullable<T>, b: Nullable<T>) -> Nullable<T>;
}

/// One row of an import. For a chat that exists, `None` leaves a column as it is.
#[derive(Clone, Debug)]
pub struct ImportedChat {
    /// The id, if the chat is new.
    pub id: String,
    /// The key of the upsert.
    pub jid: String,
    pub name: Option<String>,
    pub chat_type: Option<ChatType>,
    /// `{}` for a new chat without metadata.
    pub metadata: Option<Json>,
    /// `updated_at` for a new chat without a time of creation.
    pub created_at: Option<Time>,
    pub updated_at: Time,
    pub last_message_at: Option<Time>,
}

impl ImportedChat {
    /// Upserts rows in one transaction and returns how many chats were new. No jid may occur twice.
    pub async fn upsert(connection: &mut Connection, rows: Arc<[Self]>) -> QueryResult<usize> {
        match connection {
            Connection::Postgres(connection) => {
                let rows = Rows::from(&*rows);
                let created: i64 = diesel_async::RunQueryDsl::get_result(rows, connection).await?;
                Ok(usize::try_from(created).unwrap_or_default())
            }
            Connection::Sqlite(connection) => {
                connection
                    .spawn_blocking(move |connection: &mut SqliteConnection| {
                        connection.immediate_transaction(|connection| {
                            rows.iter().try_fold(0, |created, row| {
                                Ok(created + usize::from(row.upsert_one(connection)?))
                            })
                        })
                    })
                    .await
            }
        }
    }

    /// Upserts one row; returns whether the chat was new, that is, whether it got the row's id.
    fn upsert_one(&self, connection: &mut SqliteConnection) -> QueryResult<bool> {
        let new = NewChat {
            id: self.id.clone(),
            jid: self.jid.clone(),
            name: self.name.clone(),
            chat_type: self.chat_type,
            metadata: self.metadata.clone().unwrap_or_default(),
            created_at: self.created_at.unwrap_or(self.updated_at),
            updated_at: self.updated_at,
            last_message_at: self.last_message_at,
        };
        let id: String = diesel::insert_into(chats::table)
            .values(&new)
            .on_conflict(chats::jid)
            .do_update()
            .set((
                chats::name.eq(coalesce(excluded(chats::name), chats::name)),
                chats::chat_type.eq(coalesce(excluded(chats::chat_type), chats::chat_type)),
                self.metadata.is_some().then(|| chats::metadata.eq(excluded(chats::metadata))),
                self.created_at.map(|time| chats::created_at.eq(time)),
                chats::updated_at.eq(excluded(chats::updated_at)),
                chats::last_message_at
                    .eq(coalesce(excluded(chats::last_message_at), chats::last_message_at)),
            ))
            .returning(chats::id)
            .get_result(connection)?;
        Ok(id == self.id)
    }
}

/// The rows of an import as one array for each column.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<&'a str>,
    jids: Vec<&'a str>,
    names: Vec<Option<&'a str>>,
    chat_types: Vec<Option<&'a str>>,
    metadata: Vec<Option<&'a Json>>,
    created_at: Vec<Option<Time>>,
    updated_at: Vec<Time>,
    last_message_at: Vec<Option<Time>>,
}

impl<'a> From<&'a [ImportedChat]> for Rows<'a> {
    fn from(chats: &'a [ImportedChat]) -> Self {
        let mut rows = Self::default();
        for chat in chats {
            rows.ids.push(&chat.id);
            rows.jids.push(&chat.jid);
            rows.names.push(chat.name.as_deref());
            rows.chat_types.push(chat.chat_type.map(Into::into));
            rows.metadata.push(chat.metadata.as_ref());
            rows.created_at.push(chat.created_at);
            rows.updated_at.push(chat.updated_at);
            rows.last_message_at.push(chat.last_message_at);
        }
        rows
    }
}

impl Query for Rows<'_> {
    type SqlType = BigInt;
}

impl QueryId for Rows<'_> {
    type QueryId = Rows<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Rows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH given AS (SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.jids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.names)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.chat_types)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<JsonDocument>>, _>(&self.metadata)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Instant>>, _>(&self.created_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Instant>, _>(&self.updated_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Instant>>, _>(&self.last_message_at)?;
        out.push_sql(UPSERT);
        Ok(())
    }
}

/// Sorted by jid, so that two concurrent imports lock rows in the same order and cannot deadlock.
const UPSERT: &str = ") AS given (id, jid, name, chat_type, metadata, created_at, updated_at, last_message_at)), \
stored AS ( \
INSERT INTO chats (id, jid, name, chat_type, metadata, created_at, updated_at, last_message_at) \
SELECT given.id, given.jid, given.name, given.chat_type::chat_type_enum, \
coalesce(given.metadata, chats.metadata, '{}'), \
coalesce(given.created_at, chats.created_at, given.updated_at), \
given.updated_at, given.last_message_at \
FROM given LEFT JOIN chats ON chats.jid = given.jid ORDER BY given.jid \
ON CONFLICT (jid) DO UPDATE SET \
name = coalesce(excluded.name, chats.name), \
chat_type = coalesce(excluded.chat_type, chats.chat_type), \
metadata = excluded.metadata, created_at = excluded.created_at, updated_at = excluded.updated_at, \
last_message_at = coalesce(excluded.last_message_at, chats.last_message_at) \
RETURNING id) \
SELECT count(*) FROM stored JOIN given USING (id)";
