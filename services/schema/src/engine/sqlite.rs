//! SQLite: a lock file beside the database, and steps on one connection, each in a closure of
//! its own on a thread that may block.
//!
//! The lock is not `BEGIN IMMEDIATE`, which would keep the application from writing for as long
//! as an operation lasts.

mod body;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use database::{is_busy, sqlite_uri, types::Time};
use diesel::{
    SqliteConnection,
    connection::SimpleConnection as _,
    prelude::*,
    sql_types::{Nullable, Text},
};
use diesel_migrations::MigrationHarness as _;
use revisions::{
    Dialect,
    statements::{self, Statement},
};
use wire::error_chain;

use self::body::Body;
use super::{Direction, EngineError, StatementError, Step, first_words};
use crate::ledger::{self, NewStep, Position, schemagate_positions};

#[derive(Clone, Debug)]
pub struct Engine {
    database: PathBuf,
    lock_file: PathBuf,
}

pub struct Session {
    /// Locked as long as it is open: a process that dies closes it.
    _lock: File,
    /// Away while a step runs; lost if that panicked, or was left.
    connection: Option<SqliteConnection>,
}

impl Engine {
    pub(super) fn new(database: &Path) -> Self {
        let mut lock_file = database.as_os_str().to_owned();
        lock_file.push(".schemagate-lock");
        Self { database: database.to_owned(), lock_file: lock_file.into() }
    }

    pub(super) async fn try_session(&self) -> Result<Option<Session>, EngineError> {
        let engine = self.clone();
        blocking(move || {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&engine.lock_file)
                .map_err(|error| engine.unlockable(&error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(engine.unlockable(&error)),
            }
            let connection = database::sqlite(&sqlite_uri(&engine.database, false))
                .map_err(|error| EngineError::Unreachable(error_chain(&error)))?;
            Ok(Some(Session { _lock: file, connection: Some(connection) }))
        })
        .await
    }

    fn unlockable(&self, error: &io::Error) -> EngineError {
        EngineError::Unreachable(format!("{}: {error}", self.lock_file.display()))
    }

    /// A reader's look: it holds a shared lock for no longer than it takes to ask.
    pub(super) fn is_locked(&self) -> bool {
        File::open(&self.lock_file)
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl Session {
    pub(super) const fn is_lost(&self) -> bool {
        self.connection.is_none()
    }

    pub(super) async fn prepare(&mut self) -> Result<(), EngineError> {
        self.with(|connection| {
            // Who waits here has a deadline of its own, and comes again.
            connection
                .batch_execute("PRAGMA busy_timeout = 100; PRAGMA journal_mode = WAL;")
                .and_then(|()| connection.batch_execute(&ledger::tables_sqlite()))
                .map_err(bookkeeping)
        })
        .await
    }

    pub(super) async fn run(&mut self, step: &Step) -> Result<(), EngineError> {
        let step = step.clone();
        self.with(move |connection| {
            transact(connection, &step, |connection| {
                nobody_breaks(connection, &step)?;
                apply(connection, &step, step.sql())
            })
        })
        .await
    }

    pub(super) async fn position(&mut self, step: &Step) -> Result<Option<Position>, EngineError> {
        let step = step.clone();
        self.with(move |connection| {
            schemagate_positions::table
                .find(step.revision.id.as_ref())
                .filter(schemagate_positions::direction.eq(step.direction.as_str()))
                .select(Position::as_select())
                .get_result(connection)
                .optional()
                .map_err(bookkeeping)
        })
        .await
    }

    pub(super) async fn together(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        after: &Position,
    ) -> Result<(), EngineError> {
        let (step, after) = (step.clone(), after.clone());
        let (text, line) = (statement.text.to_owned(), statement.line);
        self.with(move |connection| {
            transact(connection, &step, |connection| {
                nobody_breaks(connection, &step)?;
                connection
                    .batch_execute(&text)
                    .map_err(|error| refused(number, line, &text, &error))?;
                save(connection, &after).map_err(bookkeeping)
            })
        })
        .await
    }

    pub(super) async fn alone(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
    ) -> Result<(), EngineError> {
        let step = step.clone();
        let (text, line) = (statement.text.to_owned(), statement.line);
        self.with(move |connection| {
            settle(connection, &step)?;
            connection.batch_execute(&text).map_err(|error| refused(number, line, &text, &error))
        })
        .await
    }

    pub(super) async fn save(&mut self, step: &Step, at: &Position) -> Result<(), EngineError> {
        let (step, at) = (step.clone(), at.clone());
        self.with(move |connection| {
            settle(connection, &step)?;
            save(connection, &at).map_err(bookkeeping)
        })
        .await
    }

    pub(super) async fn book(&mut self, step: &Step) -> Result<(), EngineError> {
        let step = step.clone();
        self.with(move |connection| {
            transact(connection, &step, |connection| {
                // Its statements are committed already: only the bookkeeping is left.
                apply(connection, &step, "")?;
                diesel::delete(schemagate_positions::table.find(step.revision.id.as_ref()))
                    .execute(connection)
                    .map(drop)
                    .map_err(bookkeeping)
            })
        })
        .await
    }

    async fn with<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<R, EngineError> + Send + 'static,
    ) -> Result<R, EngineError> {
        let mut connection = self.connection.take().ok_or(EngineError::LockLost)?;
        let (connection, result) = blocking(move || {
            let result = work(&mut connection);
            Ok((connection, result))
        })
        .await?;
        self.connection = Some(connection);
        result
    }
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, EngineError> + Send + 'static,
) -> Result<R, EngineError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(EngineError::Unreachable(error.to_string())))
}

/// One transaction of a step, unless it is stopped before the commit.
fn transact(
    connection: &mut SqliteConnection,
    step: &Step,
    work: impl FnOnce(&mut SqliteConnection) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    settle(connection, step)?;
    step.fate.commits(|seal| {
        connection.immediate_transaction(|connection| {
            work(connection)?;
            seal()
        })
    })
}

/// Foreign keys are off outside of the transaction, where the pragma has an effect: with them on,
/// a table that is rebuilt would delete its children. What the step leaves is checked instead.
fn settle(connection: &mut SqliteConnection, step: &Step) -> Result<(), EngineError> {
    step.fate.check()?;
    let timeout = step.lock_timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into());
    let settings = format!("PRAGMA busy_timeout = {timeout}; PRAGMA foreign_keys = OFF;");
    connection.batch_execute(&settings).map_err(bookkeeping)
}

/// Runs a body and books its step, in the transaction that is open.
fn apply(connection: &mut SqliteConnection, step: &Step, sql: &str) -> Result<(), EngineError> {
    let started = Instant::now();
    let body = Body { sql, version: &step.revision.id, fate: &step.fate };
    match step.direction {
        Direction::Up => connection.run_migration(&body),
        Direction::Down => connection.revert_migration(&body),
    }
    .map_err(from_harness)?;
    check_foreign_keys(connection, step)?;
    record(connection, step, started.elapsed()).map(drop).map_err(bookkeeping)
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Looks once more, now that nobody can register until the step is committed.
fn nobody_breaks(connection: &mut SqliteConnection, step: &Step) -> Result<(), EngineError> {
    let Some(threat) = &step.threat else { return Ok(()) };
    if step.force {
        let note = diesel::sql_query(threat.note())
            .bind::<Text, _>(threat.revision())
            .bind::<Text, _>(&step.operation_id);
        return note.execute(connection).map(drop).map_err(bookkeeping);
    }
    let names: Vec<Named> = diesel::sql_query(threat.query())
        .bind::<Text, _>(threat.revision())
        .load(connection)
        .map_err(bookkeeping)?;
    let names: Vec<String> = names.into_iter().map(|row| row.name).collect();
    if names.is_empty() { Ok(()) } else { Err(EngineError::Dependents(names.join(", "))) }
}

fn save(connection: &mut SqliteConnection, position: &Position) -> QueryResult<()> {
    diesel::insert_into(schemagate_positions::table)
        .values(position)
        .on_conflict(schemagate_positions::revision)
        .do_update()
        .set(position)
        .execute(connection)
        .map(drop)
}

impl From<diesel::result::Error> for EngineError {
    /// Of the transaction's own statements: BEGIN IMMEDIATE finds the database busy.
    fn from(error: diesel::result::Error) -> Self {
        refused(0, 1, "BEGIN IMMEDIATE", &error)
    }
}

fn bookkeeping(error: diesel::result::Error) -> EngineError {
    if is_busy(&error) {
        return EngineError::Contended(StatementError::of_bookkeeping(&error));
    }
    EngineError::Bookkeeping(error.to_string())
}

fn refused(
    number: usize,
    line: usize,
    statement: &str,
    error: &diesel::result::Error,
) -> EngineError {
    let refusal = StatementError {
        number,
        line,
        statement: first_words(statement),
        message: error.to_string(),
        code: None,
        blocked_by: Vec::new(),
    };
    if is_busy(error) { EngineError::Contended(refusal) } else { EngineError::Statement(refusal) }
}

/// What the harness passes on is what [`Body`] gave it, or an error of its own bookkeeping.
fn from_harness(error: Box<dyn std::error::Error + Send + Sync>) -> EngineError {
    match error.downcast::<EngineError>() {
        Ok(error) => *error,
        Err(error) => EngineError::Bookkeeping(error.to_string()),
    }
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
            number: statements::split(Dialect::Sqlite, step.sql()).len(),
            line: statements::line_of(step.sql(), step.sql().len()),
            statement: "PRAGMA foreign_key_check".into(),
            message: format!(
                "rows of {table} would refer to rows of {} that do not exist",
                parent.as_deref().unwrap_or("another table")
            ),
            code: None,
            blocked_by: Vec::new(),
        })),
    }
}

fn record(connection: &mut SqliteConnection, step: &Step, took: Duration) -> QueryResult<usize> {
    let row = NewStep {
        operation_id: &step.operation_id,
        revision: &step.revision.id,
        description: &step.revision.description,
        direction: step.direction.as_str(),
        checksum: &step.revision.checksum(),
        up_sql: &step.revision.up,
        down_sql: &step.revision.down,
        transactional: step.revision.transactional,
        compatible_from: step.revision.compatible_from.as_deref(),
        duration_us: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
        committed_at: Time::now(),
    };
    diesel::insert_into(ledger::schemagate_steps::table).values(row).execute(connection)
}
