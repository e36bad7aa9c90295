//! Chats: the row, the insert, the change, and the queries on one of them.

use database::{
    Connection,
    types::{Json, Time},
    with_conn,
};
use diesel::{
    AsChangeset, ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _,
    QueryResult, Queryable, Selectable, SelectableHelper as _, deserialize::FromSqlRow,
    expression::AsExpression,
};
use diesel_async::RunQueryDsl as _;

use super::{
    labels::labelled,
    tables::{ChatTypeEnum, chats},
};

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

labelled!(ChatType as ChatTypeEnum, "type of chat", {
    Private => "private",
    Group => "group",
    Channel => "channel",
});
