//! What a Stamp writes: revisions that count as applied, or not any more, though nothing ran.

use std::collections::BTreeSet;

use database::{Connection, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    NewStep, Operation, begin, end, forced::note_forced, schemagate_positions, schemagate_steps,
};
use crate::history::__diesel_schema_migrations as migrations;

/// Writes that some revisions count as applied and others not any more, in one transaction with
/// the operation that says so, and whom it goes on past. Nobody knows the text that ran: their checksums are unknown.
///
/// # Errors
/// The bookkeeping cannot be written.
pub async fn stamp(
    connection: &mut Connection,
    operation: &Operation,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
    past: &[String],
) -> QueryResult<()> {
    let forgotten: Vec<&String> = before.difference(after).collect();
    let recorded: Vec<&String> = after.difference(before).collect();
    let marks = recorded.iter().map(|id| (*id, "stamp"));
    let marks = marks.chain(forgotten.iter().map(|id| (*id, "forget")));
    let marks: Vec<NewStep<'_>> = marks.map(|(id, what)| operation.mark(id, what)).collect();
    let forget = migrations::table.filter(migrations::version.eq_any(&forgotten));
    connection
        .transaction(async |connection| {
            begin(connection, operation).await?;
            note_forced(connection, operation, past).await?;
            with_conn!(&mut *connection, c => diesel::delete(forget).execute(c).await)?;
            // One by one: SQLite takes no batch of both.
            for id in &recorded {
                let row = diesel::insert_into(migrations::table).values(migrations::version.eq(id));
                with_conn!(&mut *connection, c => row.execute(c).await)?;
            }
            for mark in &marks {
                let row = diesel::insert_into(schemagate_steps::table).values(mark);
                with_conn!(&mut *connection, c => row.execute(c).await)?;
            }
            // Whoever stamps says where the schema stands, half a step included.
            with_conn!(&mut *connection, c => {
                diesel::delete(schemagate_positions::table).execute(c).await
            })?;
            end(connection, &operation.id, "succeeded", &operation.to_revision, None).await?;
            Ok(())
        })
        .await
}

impl Operation {
    /// A step of a revision's that runs nothing.
    fn mark<'a>(&'a self, revision: &'a str, direction: &'a str) -> NewStep<'a> {
        NewStep {
            operation_id: &self.id,
            revision,
            description: "",
            direction,
            checksum: "",
            up_sql: "",
            down_sql: "",
            transactional: true,
            compatible_from: None,
            duration_us: 0,
            committed_at: self.started_at,
        }
    }
}
