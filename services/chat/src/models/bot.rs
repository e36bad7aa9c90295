//! Bots.

use database::{
    Connection,
    types::{Json, Time},
    with_conn,
};
use diesel::{
    AsChangeset, ExpressionMethods as _, Insertable, OptionalExtension as _, QueryDsl as _,
    QueryResult, Queryable, Selectable, SelectableHelper as _,
};
use diesel_async::RunQueryDsl as _;

use super::{assignment::Assignment, tables::bots};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = bots, treat_none_as_default_value = false)]
pub struct Bot {
    pub id: String,
    /// The type that a worker names when it opens its stream.
    pub kind: String,
    pub name: String,
    pub description: Option<String>,
    pub config: Json,
    pub enabled: bool,
    pub created_at: Time,
    pub updated_at: Time,
}

/// An update of a bot; `None` leaves a column as it is.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = bots)]
pub struct BotChanges {
    pub kind: Option<String>,
    pub name: Option<String>,
    pub description: Option<Option<String>>,
    pub config: Option<Json>,
    pub enabled: Option<bool>,
    pub updated_at: Time,
}

impl Bot {
    pub async fn insert(&self, connection: &mut Connection) -> QueryResult<Self> {
        with_conn!(connection, c => diesel::insert_into(bots::table)
            .values(self)
            .returning(Self::as_returning())
            .get_result(c)
            .await)
    }

    pub async fn by_id(connection: &mut Connection, id: &str) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => bots::table
            .find(id)
            .select(Self::as_select())
            .first(c)
            .await
            .optional())
    }

    /// At most `limit` bots after an id, of one type or of all.
    pub async fn page(
        connection: &mut Connection,
        kind: Option<&str>,
        after: &str,
        limit: usize,
    ) -> QueryResult<Vec<Self>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        with_conn!(connection, c => {
            let query = bots::table
                .filter(bots::id.gt(after))
                .order(bots::id)
                .limit(limit)
                .select(Self::as_select());
            match kind {
                Some(kind) => query.filter(bots::kind.eq(kind)).load(c).await,
                None => query.load(c).await,
            }
        })
    }

    /// Updates a bot and returns the new row. A bot that is enabled does not get the messages from
    /// while it was disabled.
    pub async fn update(
        connection: &mut Connection,
        id: &str,
        changes: &BotChanges,
    ) -> QueryResult<Option<Self>> {
        connection
            .transaction(async |connection| {
                if changes.enabled == Some(true) {
                    Assignment::skip_to_newest(connection, id).await?;
                }
                with_conn!(connection, c => diesel::update(bots::table.find(id))
                    .set(changes)
                    .returning(Self::as_returning())
                    .get_result(c)
                    .await
                    .optional())
            })
            .await
    }

    /// Deletes a bot with its assignments and deliveries; returns whether it existed.
    pub async fn delete(connection: &mut Connection, id: &str) -> QueryResult<bool> {
        with_conn!(connection, c => diesel::delete(bots::table.find(id)).execute(c).await)
            .map(|deleted| deleted > 0)
    }
}
