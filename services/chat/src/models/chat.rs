//! Chats: the row, the insert, the update, and the queries on one of them.

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
use strum::{EnumString, IntoStaticStr};

use super::{
    sql_enum::sql_enum,
    tables::{ChatTypeEnum, chats},
};

/// A row of `chats`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = chats)]
pub struct Chat {
    /// UUIDv7, as text.
    pub id: String,
    /// The chat's address in the messenger. Unique.
    pub jid: String,
    /// Display name.
    pub name: Option<String>,
    /// The type, where it is known.
    pub chat_type: Option<ChatType>,
    /// A JSON object.
    pub metadata: Json,
    /// Time of creation.
    pub created_at: Time,
    /// Time of the last change of name, type or metadata.
    pub updated_at: Time,
    /// Time of the newest message; `None` before the first.
    pub last_message_at: Option<Time>,
}

/// An insert into `chats`.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = chats, treat_none_as_default_value = false)]
pub(crate) struct NewChat {
    pub id: String,
    pub jid: String,
    pub name: Option<String>,
    pub chat_type: Option<ChatType>,
    pub metadata: Json,
    pub created_at: Time,
    pub updated_at: Time,
    pub last_message_at: Option<Time>,
}

/// An update of a chat; the outer `None` leaves a column as it is.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = chats)]
pub(crate) struct ChatChanges {
    pub name: Option<Option<String>>,
    pub chat_type: Option<Option<ChatType>>,
    pub metadata: Option<Json>,
    pub updated_at: Time,
}

impl NewChat {
    /// Inserts the chat. A jid that another chat has is a unique violation.
    pub async fn insert(&self, connection: &mut Connection) -> QueryResult<Chat> {
        with_conn!(connection, c => diesel::insert_into(chats::table)
            .values(self)
            .returning(Chat::as_returning())
            .get_result(c)
            .await)
    }
}

impl Chat {
    pub(crate) async fn by_id(connection: &mut Connection, id: &str) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => chats::table
            .find(id)
            .select(Self::as_select())
            .first(c)
            .await
            .optional())
    }

    pub(crate) async fn by_jid(
        connection: &mut Connection,
        jid: &str,
    ) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => chats::table
            .filter(chats::jid.eq(jid))
            .select(Self::as_select())
            .first(c)
            .await
            .optional())
    }

    /// Updates a chat and returns the new row.
    pub(crate) async fn update(
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

    /// Deletes a chat with everything in it; returns whether it existed.
    pub(crate) async fn delete(connection: &mut Connection, id: &str) -> QueryResult<bool> {
        with_conn!(connection, c => diesel::delete(chats::table.find(id)).execute(c).await)
            .map(|deleted| deleted > 0)
    }
}

/// The type of a chat.
#[derive(
    AsExpression, Clone, Copy, Debug, EnumString, Eq, FromSqlRow, IntoStaticStr, PartialEq,
)]
#[diesel(sql_type = ChatTypeEnum)]
#[strum(serialize_all = "lowercase")]
pub enum ChatType {
    /// Two participants.
    Private,
    /// Any number of participants who write.
    Group,
    /// One participant who writes and any number who read.
    Channel,
}

sql_enum!(ChatType, ChatTypeEnum);
