//! Assignments: which bots are assigned to which chats.

use database::{
    Connection,
    types::{Json, Time},
    with_conn,
};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, Insertable, JoinOnDsl as _, QueryDsl as _,
    QueryResult, Queryable, Selectable, SelectableHelper as _, dsl::min, upsert::excluded,
};
use diesel_async::RunQueryDsl as _;

use super::{
    message::Message,
    tables::{bots, chat_bots},
};

#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = chat_bots)]
pub struct Assignment {
    pub id: String,
    pub chat_id: String,
    pub bot_id: String,
    /// A JSON object whose keys replace those of the bot's config.
    pub config_override: Json,
    pub enabled: bool,
    /// A bot with a lower number gets a message earlier.
    pub priority: i32,
    pub created_at: Time,
    pub updated_at: Time,
    /// Only messages after this position are delivered to the bot.
    pub since_position: i64,
}

impl Assignment {
    /// Inserts the assignment, or updates the one of the same chat and bot. Messages from before
    /// the assignment, or from while it was disabled, are not delivered. An unknown chat or bot is
    /// a foreign key violation.
    pub async fn upsert(mut self, connection: &mut Connection) -> QueryResult<Self> {
        connection
            .transaction(async |connection| {
                self.since_position = Message::newest_position(connection).await?;
                if self.enabled {
                    let disabled = chat_bots::table
                        .filter(chat_bots::chat_id.eq(&self.chat_id))
                        .filter(chat_bots::bot_id.eq(&self.bot_id))
                        .filter(chat_bots::enabled.eq(false));
                    let update = diesel::update(disabled)
                        .set(chat_bots::since_position.eq(self.since_position));
                    with_conn!(&mut *connection, c => update.execute(c).await)?;
                }
                with_conn!(connection, c => diesel::insert_into(chat_bots::table)
                    .values(&self)
                    .on_conflict((chat_bots::chat_id, chat_bots::bot_id))
                    .do_update()
                    .set((
                        chat_bots::config_override.eq(excluded(chat_bots::config_override)),
                        chat_bots::enabled.eq(excluded(chat_bots::enabled)),
                        chat_bots::priority.eq(excluded(chat_bots::priority)),
                        chat_bots::updated_at.eq(excluded(chat_bots::updated_at)),
                    ))
                    .returning(Self::as_returning())
                    .get_result(c)
                    .await)
            })
            .await
    }

    /// Deletes an assignment and its deliveries; returns whether it existed.
    pub async fn delete(
        connection: &mut Connection,
        chat_id: &str,
        bot_id: &str,
    ) -> QueryResult<bool> {
        let pair = chat_bots::chat_id.eq(chat_id).and(chat_bots::bot_id.eq(bot_id));
        with_conn!(connection, c => diesel::delete(chat_bots::table.filter(pair)).execute(c).await)
            .map(|deleted| deleted > 0)
    }

    /// The assignments of a chat, by priority.
    pub async fn by_chat(connection: &mut Connection, chat_id: &str) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => chat_bots::table
            .filter(chat_bots::chat_id.eq(chat_id))
            .order((chat_bots::priority, chat_bots::bot_id))
            .select(Self::as_select())
            .load(c)
            .await)
    }

    /// The lowest `since_position` of the enabled assignments of enabled bots; `None` without any.
    pub async fn min_since_position(connection: &mut Connection) -> QueryResult<Option<i64>> {
        with_conn!(connection, c => chat_bots::table
            .inner_join(bots::table.on(bots::id.eq(chat_bots::bot_id)))
            .filter(chat_bots::enabled.and(bots::enabled))
            .select(min(chat_bots::since_position))
            .get_result(c)
            .await)
    }

    /// Moves the assignments of a disabled bot to the newest message, before the bot is enabled.
    pub(super) async fn skip_to_newest(
        connection: &mut Connection,
        bot_id: &str,
    ) -> QueryResult<()> {
        let newest = Message::newest_position(connection).await?;
        let disabled = bots::table.filter(bots::id.eq(bot_id)).filter(bots::enabled.eq(false));
        let assignments =
            chat_bots::table.filter(chat_bots::bot_id.eq_any(disabled.select(bots::id)));
        let update = diesel::update(assignments).set(chat_bots::since_position.eq(newest));
        with_conn!(connection, c => update.execute(c).await).map(drop)
    }
}
