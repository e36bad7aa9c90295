//! Chats: the row, the insert, the change, and the queries on one of them.

use std::io::Write as _;

use common::{
    database::{
        Connection,
        types::{Json, Time},
    },
    with_conn,
};
use diesel::{
    AsChangeset, ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _,
    QueryResult, Queryable, Selectable, SelectableHelper as _,
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::Text,
    sqlite::Sqlite,
};
use diesel_async::RunQueryDsl as _;

use super::tables::{ChatTypeEnum, chats};

/// A row of `chats`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = chats)]
pub struct Chat {
    /// UUIDv7, as text.
    pub id: String,
    /// Its address in the messenger.
    pub jid: String,
    /// What people call it.
    pub name: Option<String>,
    /// None where nobody said.
    pub chat_type: Option<ChatType>,
    /// A JSON object.
    pub metadata: Json,
    /// When it was made.
    pub created_at: Time,
    /// When its name, type or metadata was last set.
    pub updated_at: Time,
    /// When its newest message was sent.
    pub last_message_at: Option<Time>,
}

/// A chat to be stored.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = chats, treat_none_as_default_value = false)]
pub struct NewChat {
    /// UUIDv7, as text.
    pub id: String,
    /// Its address in the messenger.
    pub jid: String,
    /// What people call it.
    pub name: Option<String>,
    /// None where nobody said.
    pub chat_type: Option<ChatType>,
    /// A JSON object.
    pub metadata: Json,
    /// When it was made.
    pub created_at: Time,
    /// The same, for a chat that is new.
    pub updated_at: Time,
    /// When its newest message was sent.
    pub last_message_at: Option<Time>,
}

/// What of a chat is set anew; the outer `None` leaves a column as it is.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = chats)]
pub struct ChatChanges {
    /// What people call it.
    pub name: Option<Option<String>>,
    /// Its kind.
    pub chat_type: Option<Option<ChatType>>,
    /// A JSON object.
    pub metadata: Option<Json>,
    /// When this change was made.
    pub updated_at: Time,
}

impl NewChat {
    /// Stores it. A jid that is taken is a unique violation.
    pub async fn insert(&self, connection: &mut Connection) -> QueryResult<Chat> {
        with_conn!(connection, c => diesel::insert_into(chats::table)
            .values(self)
            .returning(Chat::as_returning())
            .get_result(c)
            .await)
    }
}

impl Chat {
    /// The chat of this id.
    pub async fn by_id(connection: &mut Connection, id: &str) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => chats::table
            .find(id)
            .select(Self::as_select())
            .first(c)
            .await
            .optional())
    }

    /// The chat at this address.
    pub async fn by_jid(connection: &mut Connection, jid: &str) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => chats::table
            .filter(chats::jid.eq(jid))
            .select(Self::as_select())
            .first(c)
            .await
            .optional())
    }

    /// Changes the chat of this id, and returns it as it is then.
    pub async fn update(
        connection: &mut Connection,
        id: &str,
        changes: &ChatChanges,
    ) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => diesel::update(chats::table.find(id))
            .set(changes)
            .returning(Self::as_returning())
            .get_result(c)
            .await
            .optional())
    }

    /// Deletes the chat of this id with all that is in it, and says whether there was one.
    pub async fn delete(connection: &mut Connection, id: &str) -> QueryResult<bool> {
        with_conn!(connection, c => diesel::delete(chats::table.find(id)).execute(c).await)
            .map(|deleted| deleted > 0)
    }
}

/// The kind of a chat.
#[derive(AsExpression, Clone, Copy, Debug, Eq, FromSqlRow, PartialEq)]
#[diesel(sql_type = ChatTypeEnum)]
pub enum ChatType {
    /// Two people.
    Private,
    /// Many who write.
    Group,
    /// One who writes, many who read.
    Channel,
}

impl ChatType {
    const ALL: [Self; 3] = [Self::Private, Self::Group, Self::Channel];

    /// The database's label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Group => "group",
            Self::Channel => "channel",
        }
    }

    fn from_label(label: &str) -> deserialize::Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.label() == label);
        found.ok_or_else(|| format!("'{label}' is no type of chat").into())
    }
}

impl FromSql<ChatTypeEnum, Pg> for ChatType {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Self::from_label(str::from_utf8(value.as_bytes())?)
    }
}

impl ToSql<ChatTypeEnum, Pg> for ChatType {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.label().as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<ChatTypeEnum, Sqlite> for ChatType {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        Self::from_label(&<String as FromSql<Text, Sqlite>>::from_sql(value)?)
    }
}

impl ToSql<ChatTypeEnum, Sqlite> for ChatType {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.label());
        Ok(IsNull::No)
    }
}
