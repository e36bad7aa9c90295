//! SQLite's way: a look, and a transaction of its one writer where there is something to claim.

use database::types::Instant;
use diesel::{
    ExpressionMethods as _, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _,
    SqliteConnection,
    sql_types::{BigInt, Integer, Text},
};

use super::{Asked, Claimed};
use crate::models::tables::{bot_deliveries as deliveries, bots};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Text)]
    bot_id: String,
    #[diesel(sql_type = Integer)]
    priority: i32,
}

/// Claims what may be handed out.
pub(super) fn take(connection: &mut SqliteConnection, asked: &Asked) -> QueryResult<Vec<Claimed>> {
    if waiting(connection, asked)?.is_empty() {
        return Ok(Vec::new());
    }
    connection.immediate_transaction(|connection| {
        let mut claimed = Vec::new();
        for Row { position, bot_id, .. } in waiting(connection, asked)? {
            let attempt = diesel::update(deliveries::table.find((position, &bot_id)))
                .set((
                    deliveries::attempt.eq(deliveries::attempt + 1),
                    deliveries::leased_until.eq(Some(asked.until)),
                ))
                .returning(deliveries::attempt)
                .get_result(connection)?;
            claimed.push(Claimed { position, bot_id, attempt });
        }
        Ok(claimed)
    })
}

fn waiting(connection: &mut SqliteConnection, asked: &Asked) -> QueryResult<Vec<Row>> {
    let bots: Vec<String> = bots::table
        .filter(bots::kind.eq(&asked.claim.kind))
        .filter(bots::enabled)
        .select(bots::id)
        .load(connection)?;
    let mut waiting: Vec<Row> = Vec::new();
    for bot in bots {
        waiting.extend(
            diesel::sql_query(WAITING)
                .bind::<Text, _>(bot)
                .bind::<Instant, _>(asked.now)
                .bind::<Instant, _>(asked.waited)
                .bind::<BigInt, _>(asked.claim.limit)
                .load::<Row>(connection)?,
        );
    }
    waiting.sort_by(|a, b| {
        (a.position, a.priority, &a.bot_id).cmp(&(b.position, b.priority, &b.bot_id))
    });
    waiting.truncate(usize::try_from(asked.claim.limit).unwrap_or(usize::MAX));
    Ok(waiting)
}

/// One bot's, along an index.
const WAITING: &str = "\
SELECT delivery.position, delivery.bot_id, delivery.priority FROM bot_deliveries AS delivery \
JOIN chat_bots ON chat_bots.chat_id = delivery.chat_id AND chat_bots.bot_id = delivery.bot_id \
WHERE delivery.bot_id = ?1 AND parked_at IS NULL AND leased_until IS NULL \
AND available_at <= ?2 AND chat_bots.enabled AND NOT EXISTS ( \
SELECT 1 FROM bot_deliveries AS first WHERE first.position = delivery.position \
AND first.priority < delivery.priority AND first.attempt = 0 AND first.created_at > ?3) \
ORDER BY delivery.position LIMIT ?4";
