//! Schedules: the row, the update, and the queries on them.

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
    tables::{ScheduleTypeEnum, scheduled_messages as schedules},
};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = schedules, treat_none_as_default_value = false)]
pub struct Schedule {
    pub id: String,
    pub chat_id: String,
    /// The body of the messages that it sends.
    pub message: String,
    #[diesel(column_name = schedule_type)]
    pub kind: ScheduleKind,
    /// A time, or five cron fields.
    #[diesel(column_name = schedule_expression)]
    pub expression: String,
    pub timezone: String,
    /// The next due time; `None` if there is none.
    pub next_run_at: Option<Time>,
    pub last_run_at: Option<Time>,
    pub enabled: bool,
    pub metadata: Json,
    pub created_at: Time,
    pub updated_at: Time,
}

/// An update of a schedule; the outer `None` leaves a column as it is.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = schedules)]
pub struct ScheduleChanges {
    pub message: Option<String>,
    #[diesel(column_name = schedule_type)]
    pub kind: Option<ScheduleKind>,
    #[diesel(column_name = schedule_expression)]
    pub expression: Option<String>,
    pub timezone: Option<String>,
    pub next_run_at: Option<Option<Time>>,
    pub enabled: Option<bool>,
    pub metadata: Option<Json>,
    pub updated_at: Time,
}

impl Schedule {
    /// Inserts the schedule. An unknown chat is a foreign key violation.
    pub async fn insert(&self, connection: &mut Connection) -> QueryResult<Self> {
        with_conn!(connection, c => diesel::insert_into(schedules::table)
            .values(self)
            .returning(Self::as_returning())
            .get_result(c)
            .await)
    }

    pub async fn by_id(connection: &mut Connection, id: &str) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => schedules::table
            .find(id)
            .select(Self::as_select())
            .first(c)
            .await
            .optional())
    }

    /// At most `limit` schedules after an id, of one chat or of all.
    pub async fn page(
        connection: &mut Connection,
        chat_id: Option<&str>,
        after: &str,
        limit: usize,
    ) -> QueryResult<Vec<Self>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        with_conn!(connection, c => {
            let query = schedules::table
                .filter(schedules::id.gt(after))
                .order(schedules::id)
                .limit(limit)
                .select(Self::as_select());
            match chat_id {
                Some(chat_id) => query.filter(schedules::chat_id.eq(chat_id)).load(c).await,
                None => query.load(c).await,
            }
        })
    }

    /// Updates a schedule and returns the new row.
    pub async fn update(
        connection: &mut Connection,
        id: &str,
        changes: &ScheduleChanges,
    ) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => diesel::update(schedules::table.find(id))
            .set(changes)
            .returning(Self::as_returning())
            .get_result(c)
            .await
            .optional())
    }

    /// Deletes a schedule; returns whether it existed.
    pub async fn delete(connection: &mut Connection, id: &str) -> QueryResult<bool> {
        with_conn!(connection, c => diesel::delete(schedules::table.find(id)).execute(c).await)
            .map(|deleted| deleted > 0)
    }

    /// At most `limit` schedules that are due, the oldest run first.
    pub async fn due(connection: &mut Connection, now: Time, limit: i64) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => schedules::table
            .filter(schedules::enabled)
            .filter(schedules::next_run_at.le(now))
            .order(schedules::next_run_at)
            .limit(limit)
            .select(Self::as_select())
            .load(c)
            .await)
    }

    /// The earliest run of all enabled schedules.
    pub async fn next_run(connection: &mut Connection) -> QueryResult<Option<Time>> {
        with_conn!(connection, c => schedules::table
            .filter(schedules::enabled)
            .filter(schedules::next_run_at.is_not_null())
            .order(schedules::next_run_at)
            .select(schedules::next_run_at)
            .first(c)
            .await
            .optional())
        .map(Option::flatten)
    }

    /// At most `limit` enabled cron schedules without a next run. Other programs insert them so and
    /// leave the computation to this one.
    pub async fn without_next_run(
        connection: &mut Connection,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => schedules::table
            .filter(schedules::enabled)
            .filter(schedules::next_run_at.is_null())
            .filter(schedules::schedule_type.eq(ScheduleKind::Cron))
            .limit(limit)
            .select(Self::as_select())
            .load(c)
            .await)
    }

    /// Sets the next run, unless the schedule was updated since it was read.
    pub async fn set_next_run(
        &self,
        connection: &mut Connection,
        next_run_at: Option<Time>,
        enabled: bool,
    ) -> QueryResult<()> {
        let unchanged =
            schedules::table.find(&self.id).filter(schedules::updated_at.le(self.updated_at));
        let update = diesel::update(unchanged)
            .set((schedules::next_run_at.eq(next_run_at), schedules::enabled.eq(enabled)));
        with_conn!(connection, c => update.execute(c).await).map(drop)
    }

    /// Records a run on request, which does not move the next run.
    pub async fn set_last_run(connection: &mut Connection, id: &str, at: Time) -> QueryResult<()> {
        let update =
            diesel::update(schedules::table.find(id)).set(schedules::last_run_at.eq(Some(at)));
        with_conn!(connection, c => update.execute(c).await).map(drop)
    }
}

#[derive(
    AsExpression, Clone, Copy, Debug, EnumString, Eq, FromSqlRow, IntoStaticStr, PartialEq,
)]
#[diesel(sql_type = ScheduleTypeEnum)]
#[strum(serialize_all = "lowercase")]
pub enum ScheduleKind {
    Once,
    Cron,
}

sql_enum!(ScheduleKind, ScheduleTypeEnum);
