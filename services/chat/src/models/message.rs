//! Messages: the row, the insert, and the queries that read them.

use database::{
    Connection,
    types::{Json, Time},
    with_conn,
};
use diesel::{
    ExpressionMethods as _, Insertable, QueryDsl as _, QueryResult, Queryable, Selectable,
    SelectableHelper as _, dsl::max,
};
use diesel_async::RunQueryDsl as _;

use super::{
    first::{first, first_asked},
    tables::messages,
};

/// A row of `messages`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = messages)]
pub struct Message {
    /// Where it stands among all messages.
    pub position: i64,
    /// A UUID, as text.
    pub id: String,
    /// Its chat.
    pub chat_id: String,
    /// A jid, or a bot's id.
    pub sender: String,
    /// What was said.
    pub body: String,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// A JSON object.
    pub metadata: Json,
    /// When the server took it.
    pub sent_at: Time,
}

/// A message to be stored.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = messages, treat_none_as_default_value = false)]
pub struct NewMessage {
    /// A UUID, as text.
    pub id: String,
    /// Its chat.
    pub chat_id: String,
    /// A jid, or a bot's id.
    pub sender: String,
    /// What was said.
    pub body: String,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// A JSON object.
    pub metadata: Json,
    /// When the server took it.
    pub sent_at: Time,
}

impl Message {
    /// At most `limit` messages of a chat from before a position, or from the end, newest first.
    pub async fn before(
        connection: &mut Connection,
        chat_id: &str,
        before: Option<i64>,
        limit: usize,
    ) -> QueryResult<Vec<Self>> {
        let before = before.unwrap_or(i64::MAX);
        with_conn!(connection, c => {
            let query = messages::table
                .filter(messages::chat_id.eq(chat_id))
                .filter(messages::position.lt(before))
                .order(messages::position.desc())
                .select(Self::as_select());
            first_asked(limit, query).load(c).await
        })
    }

    /// At most `limit` messages after a position, of one chat or of all, oldest first. That limit
    /// is one of few.
    pub async fn after(
        connection: &mut Connection,
        chat_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => {
            let query = messages::table
                .filter(messages::position.gt(after))
                .order(messages::position)
                .select(Self::as_select());
            match chat_id {
                Some(chat_id) => {
                    first(limit, query.filter(messages::chat_id.eq(chat_id))).load(c).await
                }
                None => first(limit, query).load(c).await,
            }
        })
    }

    /// The position of the newest message; 0 where there is none.
    pub async fn newest(connection: &mut Connection) -> QueryResult<i64> {
        let newest: Option<i64> = with_conn!(connection, c => messages::table
            .select(max(messages::position))
            .get_result(c)
            .await)?;
        Ok(newest.unwrap_or_default())
    }

    /// The messages of these ids, in any order.
    pub async fn by_ids(connection: &mut Connection, ids: &[&str]) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => messages::table
            .filter(messages::id.eq_any(ids))
            .select(Self::as_select())
            .load(c)
            .await)
    }
}

impl NewMessage {
    /// The message, once it has its position.
    pub fn at(self, position: i64) -> Message {
        let Self { id, chat_id, sender, body, reply_to, metadata, sent_at } = self;
        Message { position, id, chat_id, sender, body, reply_to, metadata, sent_at }
    }
}
