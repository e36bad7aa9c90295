use database::{PostgresConnection, types::Instant};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Integer, Text},
};
use diesel_async::RunQueryDsl as _;

use super::{DeliveryAttempt, TimedClaim, select_leasable};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Text)]
    bot_id: String,
    #[diesel(sql_type = Integer)]
    attempt: i32,
}

pub(super) async fn execute(
    connection: &mut PostgresConnection,
    claim: &TimedClaim,
) -> QueryResult<Vec<DeliveryAttempt>> {
    let rows: Vec<Row> = diesel::sql_query(CLAIM)
        .bind::<Text, _>(&claim.claim.kind)
        .bind::<Instant, _>(claim.now)
        .bind::<Instant, _>(claim.priority_deadline)
        .bind::<BigInt, _>(claim.claim.limit)
        .bind::<Instant, _>(claim.leased_until)
        .load(connection)
        .await?;
    let attempt = |Row { position, bot_id, attempt }| DeliveryAttempt { position, bot_id, attempt };
    Ok(rows.into_iter().map(attempt).collect())
}

const CLAIM: &str = concat!(
    "WITH claimed AS ( \
     SELECT waiting.position, waiting.bot_id FROM bots CROSS JOIN LATERAL ( ",
    select_leasable!(bot: "bots.id", now: "$2", deadline: "$3", limit: "$4"),
    " FOR UPDATE OF delivery SKIP LOCKED) AS waiting \
     WHERE bots.type = $1 AND bots.enabled \
     ORDER BY waiting.position, waiting.priority, waiting.bot_id LIMIT $4) \
     UPDATE bot_deliveries AS delivery SET attempt = attempt + 1, leased_until = $5 FROM claimed \
     WHERE delivery.position = claimed.position AND delivery.bot_id = claimed.bot_id \
     RETURNING delivery.position, delivery.bot_id, delivery.attempt"
);
