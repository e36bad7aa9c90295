//! Assignments: which bots sit in which chats, and how.

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

/// A row of `chat_bots`.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = chat_bots)]
pub struct Assignment {
    /// A UUID, as text.
    pub id: String,
    /// The chat.
    pub chat_id: String,
    /// The bot.
    pub bot_id: String,
    /// A JSON object, laid over the bot's config.
    pub config_override: Json,
    /// Whether the bot is handed this chat's messages.
    pub enabled: bool,
    /// Lower sees a message earlier.
    pub priority: i32,
    /// When it was made.
    pub created_at: Time,
    /// When somebody last changed it.
    pub updated_at: Time,
    /// Only messages behind this position are for the bot.
    pub since_position: i64,
}

impl Assignment {
    /// Stores it, or sets the one of this chat and this bot anew. What was said before, or while it
    /// was off, is not for the bot. A chat or a bot that is not there is a foreign key violation.
    pub async fn upsert(mut self, connection: &mut Connection) -> QueryResult<Self> {
        connection
            .transaction(async |connection| {
                self.since_position = Message::newest(connection).await?;
                if self.enabled {
                    let off = chat_bots::table
                        .filter(chat_bots::chat_id.eq(&self.chat_id))
                        .filter(chat_bots::bot_id.eq(&self.bot_id))
                        .filter(chat_bots::enabled.eq(false));
                    let update =
                        diesel::update(off).set(chat_bots::since_position.eq(self.since_position));
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

    /// Takes a bot out of a chat, with what was on its way to it; says whether it was there.
    pub async fn delete(
        connection: &mut Connection,
        chat_id: &str,
        bot_id: &str,
    ) -> QueryResult<bool> {
        let pair = chat_bots::chat_id.eq(chat_id).and(chat_bots::bot_id.eq(bot_id));
        with_conn!(connection, c => diesel::delete(chat_bots::table.filter(pair)).execute(c).await)
            .map(|deleted| deleted > 0)
    }

    /// The bots of a chat, in the order in which they see a message.
    pub async fn of_chat(connection: &mut Connection, chat_id: &str) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => chat_bots::table
            .filter(chat_bots::chat_id.eq(chat_id))
            .order((chat_bots::priority, chat_bots::bot_id))
            .select(Self::as_select())
            .load(c)
            .await)
    }

    /// The lowest position that somebody waits behind; none where no bot is handed anything.
    pub async fn earliest(connection: &mut Connection) -> QueryResult<Option<i64>> {
        with_conn!(connection, c => chat_bots::table
            .inner_join(bots::table.on(bots::id.eq(chat_bots::bot_id)))
            .filter(chat_bots::enabled.and(bots::enabled))
            .select(min(chat_bots::since_position))
            .get_result(c)
            .await)
    }

    /// What was said up to now is not for this bot, if it is off.
    pub(super) async fn catch_up(connection: &mut Connection, bot_id: &str) -> QueryResult<()> {
        let newest = Message::newest(connection).await?;
        let off = bots::table.filter(bots::id.eq(bot_id)).filter(bots::enabled.eq(false));
        let of_it = chat_bots::table.filter(chat_bots::bot_id.eq_any(off.select(bots::id)));
        let update = diesel::update(of_it).set(chat_bots::since_position.eq(newest));
        with_conn!(connection, c => update.execute(c).await).map(drop)
    }
}
