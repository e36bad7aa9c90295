//! One transaction of a step: the statements, the checks that PostgreSQL would do itself, and the
//! records.

use std::time::Instant;

use diesel::{
    connection::SimpleConnection as _,
    prelude::*,
    sql_types::{Nullable, Text},
};
use diesel_migrations::MigrationHarness as _;
use revisions::Direction;
use sql::Dialect;

use super::{
    super::{EngineError, StatementError, Step},
    error::bookkeeping,
    migration::StepMigration,
};
use crate::store::{
    Checkpoint,
    dependents::{self, INSERT_FORCED, SELECT_LIVE},
    steps::NewStep,
    tables::{schemagate_positions, schemagate_steps},
};

/// One transaction of a step, unless it is cancelled before the commit.
pub(super) fn transact(
    connection: &mut SqliteConnection,
    step: &Step,
    work: impl FnOnce(&mut SqliteConnection) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    set_up(connection, step)?;
    step.commit_guard.run(|begin_commit| {
        connection.immediate_transaction(|connection| {
            work(connection)?;
            begin_commit()
        })
    })
}

/// Foreign keys are switched off before the transaction, where the pragma has an effect: with them
/// on, rebuilding a table would delete its children. What the step leaves is checked instead.
pub(super) fn set_up(connection: &mut SqliteConnection, step: &Step) -> Result<(), EngineError> {
    step.commit_guard.check()?;
    let timeout = step.lock_timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into());
    let settings = format!("PRAGMA busy_timeout = {timeout}; PRAGMA foreign_keys = OFF;");
    connection.batch_execute(&settings).map_err(bookkeeping)
}

/// Runs a text and records its step, in the open transaction.
pub(super) fn apply(
    connection: &mut SqliteConnection,
    step: &Step,
    sql: &str,
) -> Result<(), EngineError> {
    let started = Instant::now();
    let migration =
        StepMigration { sql, version: &step.revision.id, commit_guard: &step.commit_guard };
    match step.direction {
        Direction::Up => connection.run_migration(&migration),
        Direction::Down => connection.revert_migration(&migration),
    }
    .map_err(of_harness)?;
    check_foreign_keys(connection, step)?;
    let mut row = NewStep::new(&step.operation_id, &step.revision, step.direction.into());
    row.duration_us = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
    let insert = diesel::insert_into(schemagate_steps::table).values(row);
    insert.execute(connection).map(drop).map_err(bookkeeping)
}

/// The harness returns the errors of [`StepMigration`], or one of its own bookkeeping.
fn of_harness(error: Box<dyn std::error::Error + Send + Sync>) -> EngineError {
    match error.downcast::<EngineError>() {
        Ok(error) => *error,
        Err(error) => EngineError::Bookkeeping(error.to_string()),
    }
}

pub(super) fn save(
    connection: &mut SqliteConnection,
    checkpoint: &Checkpoint,
) -> Result<(), EngineError> {
    diesel::insert_into(schemagate_positions::table)
        .values(checkpoint)
        .on_conflict(schemagate_positions::revision)
        .do_update()
        .set(checkpoint)
        .execute(connection)
        .map(drop)
        .map_err(bookkeeping)
}

#[derive(QueryableByName)]
struct Live {
    #[diesel(sql_type = Text)]
    service: String,
    #[diesel(sql_type = Text)]
    instance: String,
    #[diesel(sql_type = Text)]
    requires: String,
    #[diesel(sql_type = Text)]
    built_with: String,
}

/// Checks the live dependents again, now that none can register until the transaction ends.
pub(super) fn check_dependents(
    connection: &mut SqliteConnection,
    step: &Step,
) -> Result<(), EngineError> {
    let Some(change) = &step.breaking else { return Ok(()) };
    let rows: Vec<Live> = diesel::sql_query(SELECT_LIVE).load(connection).map_err(bookkeeping)?;
    let broken = change.broken(
        rows.into_iter()
            .map(|row| dependents::live(row.service, row.instance, row.requires, row.built_with)),
    );
    if !step.force && !broken.is_empty() {
        return Err(EngineError::Dependents(broken.join(", ")));
    }
    for name in &broken {
        diesel::sql_query(INSERT_FORCED)
            .bind::<Text, _>(&step.operation_id)
            .bind::<Text, _>(name)
            .execute(connection)
            .map_err(bookkeeping)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Orphan {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Nullable<Text>)]
    parent: Option<String>,
}

fn check_foreign_keys(connection: &mut SqliteConnection, step: &Step) -> Result<(), EngineError> {
    let orphans: Vec<Orphan> =
        diesel::sql_query("SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT 1")
            .load(connection)
            .map_err(bookkeeping)?;
    match orphans.first() {
        None => Ok(()),
        Some(Orphan { table, parent }) => Err(EngineError::Statement(StatementError {
            number: sql::split(Dialect::Sqlite, step.sql()).len(),
            line: sql::line_of(step.sql(), step.sql().len()),
            statement: "PRAGMA foreign_key_check".into(),
            message: format!(
                "rows of {table} would refer to rows of {} that do not exist",
                parent.as_deref().unwrap_or("another table")
            ),
            sqlstate: None,
            blocked_by: Vec::new(),
        })),
    }
}
