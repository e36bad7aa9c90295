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
    limit::{limit_literal, limit_page},
    tables::messages,
};

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = messages)]
pub struct Message {
    /// The number of the message in the order of commits.
    pub position: i64,
    pub id: String,
    pub chat_id: String,
    /// A jid, a bot's id, or `schedule:` and a schedule's id.
    pub sender: String,
    pub body: String,
    /// The id of a message of the same chat.
    pub reply_to: Option<String>,
    pub metadata: Json,
    pub sent_at: Time,
}

#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = messages, treat_none_as_default_value = false)]
pub struct NewMessage {
    pub id: String,
    pub chat_id: String,
    pub sender: String,
    pub body: String,
    pub reply_to: Option<String>,
    pub metadata: Json,
    pub sent_at: Time,
}

impl Message {
    /// At most `limit` messages of a chat before a position, or up to the end, newest first.
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
            limit_page(limit, query).load(c).await
        })
    }

    /// At most `limit` messages after a position, of one chat or of all, oldest first. The limit
    /// becomes part of the statement: pass constants only.
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
                    limit_literal(limit, query.filter(messages::chat_id.eq(chat_id))).load(c).await
                }
                None => limit_literal(limit, query).load(c).await,
            }
        })
    }

    /// The position of the newest message; 0 without any.
    pub async fn newest_position(connection: &mut Connection) -> QueryResult<i64> {
        let newest: Option<i64> = with_conn!(connection, c => messages::table
            .select(max(messages::position))
            .get_result(c)
            .await)?;
        Ok(newest.unwrap_or_default())
    }

    /// The messages with these ids, in any order.
    pub async fn by_ids(connection: &mut Connection, ids: &[&str]) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => messages::table
            .filter(messages::id.eq_any(ids))
            .select(Self::as_select())
            .load(c)
            .await)
    }
}

impl NewMessage {
    /// The stored message.
    pub fn at_position(self, position: i64) -> Message {
        let Self { id, chat_id, sender, body, reply_to, metadata, sent_at } = self;
        Message { position, id, chat_id, sender, body, reply_to, metadata, sent_at }
    }
}
