//! Deliveries: messages on their way to a bot, from the fan-out to its answer or to where they are
//! parked.

use std::time::Duration;

use database::{
    Connection,
    types::{Json, Time},
    with_conn,
};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, QueryDsl as _, QueryResult,
    Queryable, Selectable, SelectableHelper as _,
};
use diesel_async::RunQueryDsl as _;

use super::{
    bot::Bot,
    chat::Chat,
    claiming::Claimed,
    message::Message,
    tables::{bot_deliveries as deliveries, bots, chat_bots, chats, messages},
};

/// The pause after a first failure; it doubles with each further one.
const BACK_OFF: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// A row of `bot_deliveries`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = deliveries)]
pub struct Delivery {
    /// The message's.
    pub position: i64,
    /// The bot.
    pub bot_id: String,
    /// The message's chat.
    pub chat_id: String,
    /// The assignment's, when the message came.
    pub priority: i32,
    /// How often it was handed out.
    pub attempt: i32,
    /// How often that came to nothing.
    pub failures: i32,
    /// When it may be handed out.
    pub available_at: Time,
    /// When whoever has it in hand must have answered.
    pub leased_until: Option<Time>,
    /// When it had failed too often.
    pub parked_at: Option<Time>,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Time,
}

/// A delivery with all that its worker is told.
#[derive(Clone, Debug, Queryable)]
pub struct Handed {
    /// The delivery.
    pub delivery: Delivery,
    /// What was said.
    pub message: Message,
    /// Where.
    pub chat: Chat,
    /// Who is to answer.
    pub bot: Bot,
    /// Laid over the bot's config.
    pub config_override: Json,
}

/// How a failure is counted.
#[derive(Clone, Copy, Debug)]
pub struct Failing<'a> {
    /// The time on the database's clock.
    pub now: Time,
    /// Failures after which it is parked.
    pub most: i32,
    /// Why it failed.
    pub error: &'a str,
    /// Whether it waits before it is handed out again.
    pub back_off: bool,
}

impl Delivery {
    /// What workers are told of deliveries that they were just given, in order.
    pub async fn handed(
        connection: &mut Connection,
        claimed: &[Claimed],
    ) -> QueryResult<Vec<Handed>> {
        let positions: Vec<i64> = claimed.iter().map(|claimed| claimed.position).collect();
        let bot_ids: Vec<&str> = claimed.iter().map(|claimed| claimed.bot_id.as_str()).collect();
        let assignment = chat_bots::chat_id
            .eq(deliveries::chat_id)
            .and(chat_bots::bot_id.eq(deliveries::bot_id));
        let handed: Vec<Handed> = with_conn!(connection, c => deliveries::table
            .inner_join(messages::table.on(messages::position.eq(deliveries::position)))
            .inner_join(chats::table.on(chats::id.eq(deliveries::chat_id)))
            .inner_join(bots::table.on(bots::id.eq(deliveries::bot_id)))
            .inner_join(chat_bots::table.on(assignment))
            .filter(deliveries::position.eq_any(&positions))
            .filter(deliveries::bot_id.eq_any(&bot_ids))
            .order((deliveries::position, deliveries::priority, deliveries::bot_id))
            .select((
                Self::as_select(),
                Message::as_select(),
                Chat::as_select(),
                Bot::as_select(),
                chat_bots::config_override,
            ))
            .load(c)
            .await)?;
        let is_one = |delivery: &Self| claimed.iter().any(|claimed| claimed.is(delivery));
        Ok(handed.into_iter().filter(|handed| is_one(&handed.delivery)).collect())
    }

    /// The delivery that was handed out at this attempt, if it is in somebody's hand still.
    pub async fn in_hand(
        connection: &mut Connection,
        claimed: &Claimed,
    ) -> QueryResult<Option<Self>> {
        let found: Vec<Self> = with_conn!(connection, c => deliveries::table
            .filter(deliveries::position.eq(claimed.position))
            .filter(deliveries::bot_id.eq(&claimed.bot_id))
            .filter(deliveries::attempt.eq(claimed.attempt))
            .filter(deliveries::leased_until.is_not_null())
            .select(Self::as_select())
            .load(c)
            .await)?;
        Ok(found.into_iter().next())
    }

    /// At most `limit` deliveries whose lease is over.
    pub async fn expired(
        connection: &mut Connection,
        now: Time,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        with_conn!(connection, c => deliveries::table
            .filter(deliveries::leased_until.le(now))
            .order(deliveries::leased_until)
            .limit(limit)
            .select(Self::as_select())
            .load(c)
            .await)
    }

    /// Counts a failure, unless something else became of the delivery since it was read; says
    /// whether that parked it.
    pub async fn fail(
        &self,
        connection: &mut Connection,
        failing: Failing<'_>,
    ) -> QueryResult<bool> {
        let failures = self.failures.saturating_add(1);
        let pause = if failing.back_off { pause(failures) } else { Duration::ZERO };
        let parked = failures >= failing.most;
        let same = deliveries::table
            .find((self.position, &self.bot_id))
            .filter(deliveries::attempt.eq(self.attempt))
            .filter(deliveries::leased_until.is_not_null());
        let update = diesel::update(same).set((
            deliveries::failures.eq(failures),
            deliveries::leased_until.eq(None::<Time>),
            deliveries::available_at.eq(Time::from(failing.now.utc() + pause)),
            deliveries::parked_at.eq(parked.then_some(failing.now)),
            deliveries::last_error.eq(Some(failing.error)),
        ));
        let failed = with_conn!(connection, c => update.execute(c).await)?;
        Ok(parked && failed > 0)
    }

    /// Gives a delivery back that was handed out at this attempt, and counts no failure.
    pub async fn give_back(connection: &mut Connection, claimed: &Claimed) -> QueryResult<()> {
        let same = deliveries::table
            .find((claimed.position, &claimed.bot_id))
            .filter(deliveries::attempt.eq(claimed.attempt));
        let update = diesel::update(same).set(deliveries::leased_until.eq(None::<Time>));
        with_conn!(connection, c => update.execute(c).await).map(drop)
    }

    /// At most `limit` parked deliveries behind one, with their messages' ids.
    pub async fn parked(
        connection: &mut Connection,
        bot_id: Option<&str>,
        chat_id: Option<&str>,
        (position, behind): (i64, &str),
        limit: usize,
    ) -> QueryResult<Vec<(Self, String)>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        with_conn!(connection, c => {
            let behind = deliveries::position.gt(position).or(
                deliveries::position.eq(position).and(deliveries::bot_id.gt(behind)));
            let mut query = deliveries::table
                .inner_join(messages::table.on(messages::position.eq(deliveries::position)))
                .filter(deliveries::parked_at.is_not_null())
                .filter(behind)
                .order((deliveries::position, deliveries::bot_id))
                .limit(limit)
                .select((Self::as_select(), messages::id))
                .into_boxed();
            if let Some(bot_id) = bot_id {
                query = query.filter(deliveries::bot_id.eq(bot_id));
            }
            if let Some(chat_id) = chat_id {
                query = query.filter(deliveries::chat_id.eq(chat_id));
            }
            query.load(c).await
        })
    }

    /// Hands a parked delivery out again, as if it had never failed; says whether there was one.
    pub async fn retry(
        connection: &mut Connection,
        message_id: &str,
        bot_id: &str,
        now: Time,
    ) -> QueryResult<bool> {
        let of_it = messages::table.filter(messages::id.eq(message_id)).select(messages::position);
        let parked = deliveries::table
            .filter(deliveries::bot_id.eq(bot_id))
            .filter(deliveries::position.eq_any(of_it))
            .filter(deliveries::parked_at.is_not_null());
        let update = diesel::update(parked).set((
            deliveries::failures.eq(0),
            deliveries::available_at.eq(now),
            deliveries::parked_at.eq(None::<Time>),
            deliveries::last_error.eq(None::<String>),
        ));
        with_conn!(connection, c => update.execute(c).await).map(|retried| retried > 0)
    }
}

fn pause(failures: i32) -> Duration {
    let doublings = u32::try_from(failures - 1).unwrap_or_default().min(16);
    (BACK_OFF * 2_u32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds = [1, 2, 3, 9, 10, i32::MAX].map(|failures| pause(failures).as_secs());
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }
}
