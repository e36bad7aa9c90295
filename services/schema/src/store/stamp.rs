//! What a Stamp writes: revisions recorded as applied, or as not applied, though nothing ran.

use std::collections::BTreeSet;

use database::{Connection, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    forced::record_forced,
    kinds::{Outcome, StepKind},
    operations::{Operation, begin, finish},
    steps::{self, NewStep},
    tables::{__diesel_schema_migrations as migrations, schemagate_positions},
};

/// Changes the applied revisions from `before` to `after`, in one transaction with the operation
/// and the dependents that it is forced past. The text that made the schema is unknown, so the
/// steps have no checksum.
///
/// # Errors
/// The bookkeeping cannot be written.
pub async fn stamp(
    connection: &mut Connection,
    operation: &Operation,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
    forced_past: &[String],
) -> QueryResult<()> {
    let forgotten: Vec<&String> = before.difference(after).collect();
    let recorded: Vec<&String> = after.difference(before).collect();
    let step = |id, kind| NewStep::without_text(&operation.id, id, kind, operation.started_at);
    let new_steps: Vec<NewStep<'_>> = (recorded.iter().map(|id| step(*id, StepKind::Stamp)))
        .chain(forgotten.iter().map(|id| step(*id, StepKind::Forget)))
        .collect();
    let forget = migrations::table.filter(migrations::version.eq_any(&forgotten));
    connection
        .transaction(async |connection| {
            begin(connection, operation).await?;
            record_forced(connection, &operation.id, forced_past).await?;
            with_conn!(&mut *connection, c => diesel::delete(forget).execute(c).await)?;
            // One by one: Diesel has no batch insert that serves both databases.
            for id in &recorded {
                let row = diesel::insert_into(migrations::table).values(migrations::version.eq(id));
                with_conn!(&mut *connection, c => row.execute(c).await)?;
            }
            for step in &new_steps {
                steps::insert(connection, step).await?;
            }
            // The stamp says where the schema stands, so no step is half done any more.
            with_conn!(&mut *connection, c => {
                diesel::delete(schemagate_positions::table).execute(c).await
            })?;
            let revision = &operation.to_revision;
            finish(connection, &operation.id, Outcome::Succeeded, revision, None).await?;
            Ok(())
        })
        .await
}
