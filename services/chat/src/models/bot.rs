//! Bots: the row, the change, and the queries on them.

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

/// A row of `bots`.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = bots, treat_none_as_default_value = false)]
pub struct Bot {
    /// A UUID, as text.
    pub id: String,
    /// What runs it.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// A JSON object.
    pub config: Json,
    /// Whether it is handed messages.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Time,
    /// When somebody last changed it.
    pub updated_at: Time,
}

/// What of a bot is set anew; the outer `None` leaves a column as it is.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = bots)]
pub struct BotChanges {
    /// What runs it.
    pub kind: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// What it does.
    pub description: Option<Option<String>>,
    /// A JSON object.
    pub config: Option<Json>,
    /// Whether it is handed messages.
    pub enabled: Option<bool>,
    /// When this change was made.
    pub updated_at: Time,
}

impl Bot {
    /// Stores it.
    pub async fn insert(&self, connection: &mut Connection) -> QueryResult<Self> {
        with_conn!(connection, c => diesel::insert_into(bots::table)
            .values(self)
            .returning(Self::as_returning())
            .get_result(c)
            .await)
    }

    /// The bot of this id.
    pub async fn by_id(connection: &mut Connection, id: &str) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => bots::table
            .find(id)
            .select(Self::as_select())
            .first(c)
            .await
            .optional())
    }

    /// At most `limit` bots behind an id, of one type or of all.
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

    /// Changes the bot of this id, and returns it as it is then. One that is switched on is not
    /// handed what was said while it was off.
    pub async fn update(
        connection: &mut Connection,
        id: &str,
        changes: &BotChanges,
    ) -> QueryResult<Option<Self>> {
        connection
            .transaction(async |connection| {
                if changes.enabled == Some(true) {
                    Assignment::catch_up(connection, id).await?;
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

    /// Deletes the bot of this id with its assignments and deliveries, and says whether there was
    /// one.
    pub async fn delete(connection: &mut Connection, id: &str) -> QueryResult<bool> {
        with_conn!(connection, c => diesel::delete(bots::table.find(id)).execute(c).await)
            .map(|deleted| deleted > 0)
    }
}
