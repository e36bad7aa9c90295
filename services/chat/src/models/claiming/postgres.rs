//! PostgreSQL's way: one statement.

use common::database::{PostgresConnection, types::Instant};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Integer, Text},
};
use diesel_async::RunQueryDsl as _;

use super::{Asked, Claimed};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Text)]
    bot_id: String,
    #[diesel(sql_type = Integer)]
    attempt: i32,
}

/// Claims what may be handed out.
pub(super) async fn take(
    connection: &mut PostgresConnection,
    asked: &Asked,
) -> QueryResult<Vec<Claimed>> {
    let rows: Vec<Row> = diesel::sql_query(TAKE)
        .bind::<Text, _>(&asked.claim.kind)
        .bind::<Instant, _>(asked.now)
        .bind::<Instant, _>(asked.waited)
        .bind::<BigInt, _>(asked.claim.limit)
        .bind::<Instant, _>(asked.until)
        .load(connection)
        .await?;
    let claimed = |Row { position, bot_id, attempt }| Claimed { position, bot_id, attempt };
    Ok(rows.into_iter().map(claimed).collect())
}

/// Each bot's deliveries are read along an index of their own, so that what waits for a type that
/// nobody attends to is never read past.
const TAKE: &str = "\
WITH claimed AS ( \
SELECT waiting.position, waiting.bot_id FROM bots CROSS JOIN LATERAL ( \
SELECT delivery.position, delivery.bot_id, delivery.priority FROM bot_deliveries AS delivery \
JOIN chat_bots ON chat_bots.chat_id = delivery.chat_id AND chat_bots.bot_id = delivery.bot_id \
WHERE delivery.bot_id = bots.id AND parked_at IS NULL AND leased_until IS NULL \
AND available_at <= $2 AND chat_bots.enabled AND NOT EXISTS ( \
SELECT FROM bot_deliveries AS first WHERE first.position = delivery.position \
AND first.priority < delivery.priority AND first.attempt = 0 AND first.created_at > $3) \
ORDER BY delivery.position LIMIT $4 FOR UPDATE OF delivery SKIP LOCKED) AS waiting \
WHERE bots.type = $1 AND bots.enabled \
ORDER BY waiting.position, waiting.priority, waiting.bot_id LIMIT $4) \
UPDATE bot_deliveries AS delivery SET attempt = attempt + 1, leased_until = $5 FROM claimed \
WHERE delivery.position = claimed.position AND delivery.bot_id = claimed.bot_id \
RETURNING delivery.position, delivery.bot_id, delivery.attempt";
