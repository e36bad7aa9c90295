//! A session on PostgreSQL.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sql::{Dialect, Statement};

use super::{
    super::{EngineError, IndexState, ReportProgress, Session, Step, StepCanceller},
    PostgresSession, Records,
    error::{bookkeeping, refused, unreachable},
    monitor::milliseconds,
    records::Record,
};
use crate::store::{Checkpoint, NewerLayout, StepKind, layout};

/// How long the migration of the bookkeeping waits for a lock before the lock's holder tries again.
const BOOKKEEPING_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

#[async_trait]
impl Session for PostgresSession {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn prepare(&mut self) -> Result<(), EngineError> {
        let recorded = self.recorded_layout().await?;
        // At WARNING, tables that exist already would each be a notice in the server's log.
        let sql = format!(
            "SET client_min_messages = warning; SET lock_timeout = {}; {}{}",
            milliseconds(BOOKKEEPING_LOCK_TIMEOUT),
            layout::migrate(Dialect::Postgres, recorded),
            layout::REVOKE_WRITES
        );
        // Statements of one message are one transaction.
        self.work.batch_execute(&sql).await.map_err(|error| bookkeeping(&error))?;
        let records = Records::prepare(&self.work, &self.schema).await;
        self.records = Some(records.map_err(|error| bookkeeping(&error))?);
        Ok(())
    }

    fn canceller(&self) -> StepCanceller {
        StepCanceller::Server(Arc::clone(&self.server), self.work.cancel_token())
    }

    fn is_lost(&self) -> bool {
        false
    }

    async fn run_in_transaction(&mut self, step: &Step) -> Result<(), EngineError> {
        let statements = sql::split(Dialect::Postgres, step.sql());
        self.transact(step, &statements, 1, &[Record::Step]).await
    }

    async fn checkpoint(&mut self, step: &Step) -> Result<Option<Checkpoint>, EngineError> {
        let query = format!(
            "SELECT done, begun, total, done_checksum FROM {}.schemagate_positions \
             WHERE revision = $1 AND direction = $2",
            self.schema
        );
        let direction = StepKind::from(step.direction);
        let row = self
            .work
            .query_opt(&query, &[&step.revision.id, &direction.as_str()])
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(row.map(|row| Checkpoint {
            revision: step.revision.id.to_string(),
            direction,
            done: row.get(0),
            begun: row.get(1),
            total: row.get(2),
            done_checksum: row.get(3),
        }))
    }

    async fn exec_in_transaction(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        after: &Checkpoint,
    ) -> Result<(), EngineError> {
        self.transact(step, &[*statement], number, &[Record::Checkpoint(after)]).await
    }

    /// A concurrent build waits for every older transaction, however long that takes: a lock
    /// timeout would end it and leave its index INVALID.
    async fn exec_autocommit(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        progress: ReportProgress<'_>,
    ) -> Result<(), EngineError> {
        self.check(step)?;
        let is_concurrent =
            statement.leading_words(Dialect::Postgres).iter().any(|word| word == "CONCURRENTLY");
        let lock_timeout = if is_concurrent { 0 } else { milliseconds(step.lock_timeout) };
        let settings =
            format!("RESET ALL; SET statement_timeout = 0; SET lock_timeout = {lock_timeout}");
        self.work.batch_execute(&settings).await.map_err(|error| unreachable(&error))?;
        let work = self.report_index_build(progress, self.work.batch_execute(statement.text));
        let (result, blocked_by) = self.watch_blockers(step.lock_timeout, work).await;
        result.map_err(|error| refused(step, statement, number, &error, &blocked_by))
    }

    async fn save_checkpoint(
        &mut self,
        step: &Step,
        checkpoint: &Checkpoint,
    ) -> Result<(), EngineError> {
        self.transact(step, &[], 1, &[Record::Checkpoint(checkpoint)]).await
    }

    async fn record_step(&mut self, step: &Step) -> Result<(), EngineError> {
        self.transact(step, &[], 1, &[Record::Step, Record::NoCheckpoint]).await
    }

    async fn index_state(&mut self, name: &str) -> Result<IndexState, EngineError> {
        let row = self
            .work
            .query_opt(
                "SELECT indisvalid AND indisready FROM pg_catalog.pg_index \
                 WHERE indexrelid = to_regclass($1)",
                &[&name],
            )
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(match row.map(|row| row.get(0)) {
            None => IndexState::Missing,
            Some(false) => IndexState::Invalid,
            Some(true) => IndexState::Valid,
        })
    }
}

impl PostgresSession {
    /// The recorded version of the bookkeeping, 0 where there is none.
    async fn recorded_layout(&self) -> Result<i32, EngineError> {
        let table = format!("{}.{}", self.schema, layout::TABLE);
        let row = self.work.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await;
        if !row.map_err(|error| unreachable(&error))?.get::<_, bool>(0) {
            return Ok(0);
        }
        let row = self.work.query_opt(layout::READ_VERSION, &[]).await;
        let Some(row) = row.map_err(|error| unreachable(&error))? else { return Ok(0) };
        let (found, build): (i32, String) = (row.get(0), row.get(1));
        NewerLayout::refuse(found, &build)?;
        Ok(found)
    }
}
