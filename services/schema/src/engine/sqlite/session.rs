//! A session on SQLite.

use async_trait::async_trait;
use diesel::{
    OptionalExtension as _,
    connection::SimpleConnection as _,
    prelude::*,
    sql_types::{Integer, Text},
};
use sql::{Dialect, Statement};

use super::{
    super::{EngineError, IndexState, ReportProgress, Session, Step, StepCanceller},
    SqliteSession, blocking,
    error::{bookkeeping, refused},
    transaction::{apply, check_dependents, save, set_up, transact},
};
use crate::store::{Checkpoint, NewerLayout, StepKind, layout, tables::schemagate_positions};

#[async_trait]
impl Session for SqliteSession {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn prepare(&mut self) -> Result<(), EngineError> {
        self.with(|connection| {
            // The caller has a deadline of its own and tries again.
            connection
                .batch_execute("PRAGMA busy_timeout = 100; PRAGMA journal_mode = WAL;")
                .map_err(bookkeeping)?;
            let sql = layout::migrate(Dialect::Sqlite, recorded_layout(connection)?);
            if sql.is_empty() {
                return Ok(());
            }
            connection
                .immediate_transaction(|connection| connection.batch_execute(&sql))
                .map_err(bookkeeping)
        })
        .await
    }

    fn canceller(&self) -> StepCanceller {
        StepCanceller::Thread
    }

    fn is_lost(&self) -> bool {
        self.connection.is_none()
    }

    async fn run_in_transaction(&mut self, step: &Step) -> Result<(), EngineError> {
        let step = step.clone();
        self.with(move |connection| {
            transact(connection, &step, |connection| {
                check_dependents(connection, &step)?;
                apply(connection, &step, step.sql())
            })
        })
        .await
    }

    async fn checkpoint(&mut self, step: &Step) -> Result<Option<Checkpoint>, EngineError> {
        let step = step.clone();
        self.with(move |connection| {
            schemagate_positions::table
                .find(step.revision.id.as_ref())
                .filter(schemagate_positions::direction.eq(StepKind::from(step.direction)))
                .select(Checkpoint::as_select())
                .get_result(connection)
                .optional()
                .map_err(bookkeeping)
        })
        .await
    }

    async fn exec_in_transaction(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        after: &Checkpoint,
    ) -> Result<(), EngineError> {
        let (step, after) = (step.clone(), after.clone());
        let (text, line) = (statement.text.to_owned(), statement.line);
        self.with(move |connection| {
            transact(connection, &step, |connection| {
                check_dependents(connection, &step)?;
                connection
                    .batch_execute(&text)
                    .map_err(|error| refused(number, line, &text, &error))?;
                save(connection, &after)
            })
        })
        .await
    }

    async fn exec_autocommit(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        _: ReportProgress<'_>,
    ) -> Result<(), EngineError> {
        let step = step.clone();
        let (text, line) = (statement.text.to_owned(), statement.line);
        self.with(move |connection| {
            set_up(connection, &step)?;
            connection.batch_execute(&text).map_err(|error| refused(number, line, &text, &error))
        })
        .await
    }

    async fn save_checkpoint(
        &mut self,
        step: &Step,
        checkpoint: &Checkpoint,
    ) -> Result<(), EngineError> {
        let (step, checkpoint) = (step.clone(), checkpoint.clone());
        self.with(move |connection| {
            set_up(connection, &step)?;
            save(connection, &checkpoint)
        })
        .await
    }

    async fn record_step(&mut self, step: &Step) -> Result<(), EngineError> {
        let step = step.clone();
        self.with(move |connection| {
            transact(connection, &step, |connection| {
                // Its statements are committed already: only the records are left.
                apply(connection, &step, "")?;
                diesel::delete(schemagate_positions::table.find(step.revision.id.as_ref()))
                    .execute(connection)
                    .map(drop)
                    .map_err(bookkeeping)
            })
        })
        .await
    }

    /// SQLite builds no index concurrently.
    async fn index_state(&mut self, _: &str) -> Result<IndexState, EngineError> {
        Ok(IndexState::Missing)
    }
}

impl SqliteSession {
    /// Runs work on the connection, on a thread that may block.
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

#[derive(QueryableByName)]
struct Recorded {
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Text)]
    build: String,
}

/// The recorded version of the bookkeeping, 0 where there is none.
fn recorded_layout(connection: &mut SqliteConnection) -> Result<i32, EngineError> {
    let table = format!(
        "SELECT count(*) AS version, '' AS build FROM sqlite_schema \
         WHERE type = 'table' AND name = '{}'",
        layout::TABLE
    );
    let tables: Recorded = diesel::sql_query(table).get_result(connection).map_err(bookkeeping)?;
    if tables.version == 0 {
        return Ok(0);
    }
    let row: Option<Recorded> = diesel::sql_query(layout::READ_VERSION)
        .get_result(connection)
        .optional()
        .map_err(bookkeeping)?;
    let Some(Recorded { version, build }) = row else { return Ok(0) };
    NewerLayout::refuse(version, &build)?;
    Ok(version)
}
