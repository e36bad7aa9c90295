//! Schedules: the row, the insert, the change, and the queries on them.

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
    tables::{ScheduleTypeEnum, scheduled_messages as schedules},
};

/// A row of `scheduled_messages`.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = schedules, treat_none_as_default_value = false)]
pub struct Schedule {
    /// A UUID, as text.
    pub id: String,
    /// The chat that it sends to.
    pub chat_id: String,
    /// What it sends.
    pub message: String,
    /// Once, or by cron.
    #[diesel(column_name = schedule_type)]
    pub kind: Kind,
    /// A time, or five cron fields.
    #[diesel(column_name = schedule_expression)]
    pub expression: String,
    /// The zone whose clock counts.
    pub timezone: String,
    /// The run that it stands at; none where none is to come.
    pub next_run_at: Option<Time>,
    /// When it was last sent.
    pub last_run_at: Option<Time>,
    /// Whether it is to be sent.
    pub enabled: bool,
    /// A JSON object.
    pub metadata: Json,
    /// When it was made.
    pub created_at: Time,
    /// When somebody last changed it.
    pub updated_at: Time,
}

/// What of a schedule is set anew; the outer `None` leaves a column as it is.
#[derive(Clone, Debug, AsChangeset)]
#[diesel(table_name = schedules)]
pub struct ScheduleChanges {
    /// What it sends.
    pub message: Option<String>,
    /// Once, or by cron.
    #[diesel(column_name = schedule_type)]
    pub kind: Option<Kind>,
    /// A time, or five cron fields.
    #[diesel(column_name = schedule_expression)]
    pub expression: Option<String>,
    /// The zone whose clock counts.
    pub timezone: Option<String>,
    /// The run that it stands at.
    pub next_run_at: Option<Option<Time>>,
    /// Whether it is to be sent.
    pub enabled: Option<bool>,
    /// A JSON object.
    pub metadata: Option<Json>,
    /// When this change was made.
    pub updated_at: Time,
}

impl Schedule {
    /// Stores it. A chat that is not there is a foreign key violation.
    pub async fn insert(&self, connection: &mut Connection) -> QueryResult<Self> {
        with_conn!(connection, c => diesel::insert_into(schedules::table)
            .values(self)
            .returning(Self::as_returning())
            .get_result(c)
            .await)
    }

    /// The schedule of this id.
    pub async fn by_id(connection: &mut Connection, id: &str) -> QueryResult<Option<Self>> {
        with_conn!(connection, c => schedules::table
            .find(id)
            .select(Self::as_select())
            .first(c)
            .await
            .optional())
    }

    /// At most `limit` schedules behind an id, of one chat or of all.
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

    /// Changes the schedule of this id, and returns it as it is then.
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

    /// Deletes the schedule of this id, and says whether there was one.
    pub async fn delete(connection: &mut Connection, id: &str) -> QueryResult<bool> {
        with_conn!(connection, c => diesel::delete(schedules::table.find(id)).execute(c).await)
            .map(|deleted| deleted > 0)
    }

    /// At most `limit` schedules that are due, those that wait longest first.
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

    /// When the next one is due.
    pub async fn next(connection: &mut Connection) -> QueryResult<Option<Time>> {
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

    /// At most `limit` schedules by cron that are enabled and stand at no run: whoever wrote them
    /// left that to the program.
    pub async fn adrift(connection: &mut Connection, limit: i64) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => schedules::table
            .filter(schedules::enabled)
            .filter(schedules::next_run_at.is_null())
            .filter(schedules::schedule_type.eq(Kind::Cron))
            .limit(limit)
            .select(Self::as_select())
            .load(c)
            .await)
    }

    /// Puts a schedule at a run, or at none, unless somebody changed it since it was read.
    pub async fn put(
        &self,
        connection: &mut Connection,
        next_run_at: Option<Time>,
        enabled: bool,
    ) -> QueryResult<()> {
        let same =
            schedules::table.find(&self.id).filter(schedules::updated_at.le(self.updated_at));
        let update = diesel::update(same)
            .set((schedules::next_run_at.eq(next_run_at), schedules::enabled.eq(enabled)));
        with_conn!(connection, c => update.execute(c).await).map(drop)
    }

    /// Remembers when a schedule was sent out of turn.
    pub async fn ran(connection: &mut Connection, id: &str, at: Time) -> QueryResult<()> {
        let update =
            diesel::update(schedules::table.find(id)).set(schedules::last_run_at.eq(Some(at)));
        with_conn!(connection, c => update.execute(c).await).map(drop)
    }
}

/// The kind of a schedule.
#[derive(AsExpression, Clone, Copy, Debug, Eq, FromSqlRow, PartialEq)]
#[diesel(sql_type = ScheduleTypeEnum)]
pub enum Kind {
    /// At one moment.
    Once,
    /// Again and again.
    Cron,
}

labelled!(Kind as ScheduleTypeEnum, "type of schedule", {
    Once => "once",
    Cron => "cron",
});
