//! Deliveries: one message for one bot, from the fan-out until it is answered or parked.

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
    message::Message,
    tables::{bot_deliveries as deliveries, bots, chat_bots, chats, messages},
};

const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5 * 60);

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = deliveries)]
#[expect(dead_code, reason = "every column is selected, so that the gate's proof covers it")]
pub struct Delivery {
    /// The position of the message.
    pub position: i64,
    pub bot_id: String,
    pub chat_id: String,
    /// The assignment's priority at fan-out.
    pub priority: i32,
    /// Number of leases so far.
    pub attempt: i32,
    /// Number of failed attempts.
    pub failures: i32,
    pub available_at: Time,
    pub leased_until: Option<Time>,
    pub parked_at: Option<Time>,
    /// Error of the last failure.
    pub last_error: Option<String>,
    pub created_at: Time,
}

/// A delivery at one attempt. What refers to an older attempt has no effect.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct DeliveryAttempt {
    pub position: i64,
    pub bot_id: String,
    pub attempt: i32,
}

/// A leased delivery with everything that its worker gets.
#[derive(Clone, Debug, Queryable)]
pub struct LeasedDelivery {
    pub delivery: Delivery,
    pub message: Message,
    pub chat: Chat,
    pub bot: Bot,
    /// A JSON object whose keys replace those of the bot's config.
    pub config_override: Json,
}

/// How to record a failed attempt.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryFailure<'a> {
    /// The time on the database's clock.
    pub now: Time,
    /// Number of failures at which the delivery is parked.
    pub max_failures: i32,
    pub error: &'a str,
    /// Whether the next attempt waits, the longer the more failures there were.
    pub is_delayed: bool,
}

impl LeasedDelivery {
    pub fn attempt(&self) -> DeliveryAttempt {
        self.delivery.at_attempt()
    }

    /// Loads what was just leased, in the order of messages and priorities.
    pub async fn load(
        connection: &mut Connection,
        attempts: &[DeliveryAttempt],
    ) -> QueryResult<Vec<Self>> {
        let positions: Vec<i64> = attempts.iter().map(|attempt| attempt.position).collect();
        let bot_ids: Vec<&str> = attempts.iter().map(|attempt| attempt.bot_id.as_str()).collect();
        let assignment = chat_bots::chat_id
            .eq(deliveries::chat_id)
            .and(chat_bots::bot_id.eq(deliveries::bot_id));
        let candidates: Vec<Self> = with_conn!(connection, c => deliveries::table
            .inner_join(messages::table.on(messages::position.eq(deliveries::position)))
            .inner_join(chats::table.on(chats::id.eq(deliveries::chat_id)))
            .inner_join(bots::table.on(bots::id.eq(deliveries::bot_id)))
            .inner_join(chat_bots::table.on(assignment))
            .filter(deliveries::position.eq_any(&positions))
            .filter(deliveries::bot_id.eq_any(&bot_ids))
            .order((deliveries::position, deliveries::priority, deliveries::bot_id))
            .select((
                Delivery::as_select(),
                Message::as_select(),
                Chat::as_select(),
                Bot::as_select(),
                chat_bots::config_override,
            ))
            .load(c)
            .await)?;
        // The two filters admit every pair of a position and a bot.
        let is_leased = |leased: &Self| attempts.contains(&leased.attempt());
        Ok(candidates.into_iter().filter(is_leased).collect())
    }
}

impl Delivery {
    fn at_attempt(&self) -> DeliveryAttempt {
        let Self { position, attempt, .. } = *self;
        DeliveryAttempt { position, bot_id: self.bot_id.clone(), attempt }
    }

    /// The delivery at an attempt, if the attempt is still leased.
    pub async fn find_leased(
        connection: &mut Connection,
        attempt: &DeliveryAttempt,
    ) -> QueryResult<Option<Self>> {
        let found: Vec<Self> = with_conn!(connection, c => deliveries::table
            .filter(deliveries::position.eq(attempt.position))
            .filter(deliveries::bot_id.eq(&attempt.bot_id))
            .filter(deliveries::attempt.eq(attempt.attempt))
            .filter(deliveries::leased_until.is_not_null())
            .select(Self::as_select())
            .load(c)
            .await)?;
        Ok(found.into_iter().next())
    }

    /// At most `limit` deliveries whose lease has expired, the oldest lease first.
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

    /// Records a failure, unless the delivery changed since it was read; returns whether that
    /// parked it.
    pub async fn record_failure(
        &self,
        connection: &mut Connection,
        failure: DeliveryFailure<'_>,
    ) -> QueryResult<bool> {
        let failures = self.failures.saturating_add(1);
        let delay = if failure.is_delayed { retry_delay(failures) } else { Duration::ZERO };
        let is_parked = failures >= failure.max_failures;
        let unchanged = deliveries::table
            .find((self.position, &self.bot_id))
            .filter(deliveries::attempt.eq(self.attempt))
            .filter(deliveries::leased_until.is_not_null());
        let update = diesel::update(unchanged).set((
            deliveries::failures.eq(failures),
            deliveries::leased_until.eq(None::<Time>),
            deliveries::available_at.eq(Time::from(failure.now.utc() + delay)),
            deliveries::parked_at.eq(is_parked.then_some(failure.now)),
            deliveries::last_error.eq(Some(failure.error)),
        ));
        let updated = with_conn!(connection, c => update.execute(c).await)?;
        Ok(is_parked && updated > 0)
    }

    /// Ends the lease of an attempt without a failure.
    pub async fn release(
        connection: &mut Connection,
        attempt: &DeliveryAttempt,
    ) -> QueryResult<()> {
        let leased = deliveries::table
            .find((attempt.position, &attempt.bot_id))
            .filter(deliveries::attempt.eq(attempt.attempt));
        let update = diesel::update(leased).set(deliveries::leased_until.eq(None::<Time>));
        with_conn!(connection, c => update.execute(c).await).map(drop)
    }

    /// At most `limit` parked deliveries after a position and a bot, with their messages' ids.
    pub async fn parked_page(
        connection: &mut Connection,
        bot_id: Option<&str>,
        chat_id: Option<&str>,
        (position, after_bot): (i64, &str),
        limit: usize,
    ) -> QueryResult<Vec<(Self, String)>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        with_conn!(connection, c => {
            let is_after = deliveries::position.gt(position).or(
                deliveries::position.eq(position).and(deliveries::bot_id.gt(after_bot)));
            let mut query = deliveries::table
                .inner_join(messages::table.on(messages::position.eq(deliveries::position)))
                .filter(deliveries::parked_at.is_not_null())
                .filter(is_after)
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

    /// Makes a parked delivery available again and resets its failures; returns whether it was
    /// parked.
    pub async fn unpark(
        connection: &mut Connection,
        message_id: &str,
        bot_id: &str,
        now: Time,
    ) -> QueryResult<bool> {
        let position =
            messages::table.filter(messages::id.eq(message_id)).select(messages::position);
        let parked = deliveries::table
            .filter(deliveries::bot_id.eq(bot_id))
            .filter(deliveries::position.eq_any(position))
            .filter(deliveries::parked_at.is_not_null());
        let update = diesel::update(parked).set((
            deliveries::failures.eq(0),
            deliveries::available_at.eq(now),
            deliveries::parked_at.eq(None::<Time>),
            deliveries::last_error.eq(None::<String>),
        ));
        with_conn!(connection, c => update.execute(c).await).map(|updated| updated > 0)
    }
}

/// Doubles with each failure. Without jitter: the moment stands in the database, and what fails
/// together is leased in batches anyway.
fn retry_delay(failures: i32) -> Duration {
    let doublings = u32::try_from(failures - 1).unwrap_or_default().min(16);
    (MIN_RETRY_DELAY * 2_u32.pow(doublings)).min(MAX_RETRY_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_delay_doubles_up_to_the_maximum() {
        let seconds = [1, 2, 3, 9, 10, i32::MAX].map(|failures| retry_delay(failures).as_secs());
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }
}
