use database::types::Instant;
use diesel::{
    ExpressionMethods as _, QueryDsl as _, QueryResult, QueryableByName, RunQueryDsl as _,
    SqliteConnection,
    sql_types::{BigInt, Integer, Text},
};

use super::{DeliveryAttempt, TimedClaim, select_leasable};
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

pub(super) fn execute(
    connection: &mut SqliteConnection,
    claim: &TimedClaim,
) -> QueryResult<Vec<DeliveryAttempt>> {
    // Reading first keeps workers that wait from taking the write lock again and again.
    if leasable(connection, claim)?.is_empty() {
        return Ok(Vec::new());
    }
    connection.immediate_transaction(|connection| {
        let mut attempts = Vec::new();
        for Row { position, bot_id, .. } in leasable(connection, claim)? {
            let attempt = diesel::update(deliveries::table.find((position, &bot_id)))
                .set((
                    deliveries::attempt.eq(deliveries::attempt + 1),
                    deliveries::leased_until.eq(Some(claim.leased_until)),
                ))
                .returning(deliveries::attempt)
                .get_result(connection)?;
            attempts.push(DeliveryAttempt { position, bot_id, attempt });
        }
        Ok(attempts)
    })
}

fn leasable(connection: &mut SqliteConnection, claim: &TimedClaim) -> QueryResult<Vec<Row>> {
    let bots: Vec<String> = bots::table
        .filter(bots::kind.eq(&claim.claim.kind))
        .filter(bots::enabled)
        .select(bots::id)
        .load(connection)?;
    let mut rows: Vec<Row> = Vec::new();
    for bot in bots {
        rows.extend(
            diesel::sql_query(LEASABLE)
                .bind::<Text, _>(bot)
                .bind::<Instant, _>(claim.now)
                .bind::<Instant, _>(claim.priority_deadline)
                .bind::<BigInt, _>(claim.claim.limit)
                .load::<Row>(connection)?,
        );
    }
    rows.sort_by(|a, b| {
        (a.position, a.priority, &a.bot_id).cmp(&(b.position, b.priority, &b.bot_id))
    });
    rows.truncate(usize::try_from(claim.claim.limit).unwrap_or(usize::MAX));
    Ok(rows)
}

const LEASABLE: &str = select_leasable!(bot: "?1", now: "?2", deadline: "?3", limit: "?4");
