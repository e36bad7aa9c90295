//! A step outside a transaction, on PostgreSQL.

use std::{future::Future, time::Duration};

use sql::{Dialect, Statement};

use super::{
    super::{EngineError, IndexState, Step, Tell},
    Entry, Session, milliseconds, refused, unreachable,
};
use crate::ledger::Position;

/// How often the progress of an index is told.
const TOLD: Duration = Duration::from_millis(500);

impl Session {
    pub(in crate::engine) async fn position(
        &mut self,
        step: &Step,
    ) -> Result<Option<Position>, EngineError> {
        let query = format!(
            "SELECT revision, direction, done, begun, total, done_checksum \
             FROM {}.schemagate_positions WHERE revision = $1 AND direction = $2",
            self.schema
        );
        let row = self
            .work
            .query_opt(&query, &[&step.revision.id, &step.direction.as_str()])
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(row.map(|row| Position {
            revision: row.get(0),
            direction: row.get(1),
            done: row.get(2),
            begun: row.get(3),
            total: row.get(4),
            done_checksum: row.get(5),
        }))
    }

    pub(in crate::engine) async fn together(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        after: &Position,
    ) -> Result<(), EngineError> {
        self.flight(step, &[*statement], number, &[Entry::Position(after)]).await
    }

    pub(in crate::engine) async fn save(
        &mut self,
        step: &Step,
        position: &Position,
    ) -> Result<(), EngineError> {
        self.flight(step, &[], 1, &[Entry::Position(position)]).await
    }

    pub(in crate::engine) async fn book(&mut self, step: &Step) -> Result<(), EngineError> {
        self.flight(step, &[], 1, &[Entry::Step, Entry::NoPosition]).await
    }

    /// A concurrent build waits for every transaction that is older, for as long as that takes: a
    /// lock timeout would end it and leave its index INVALID.
    pub(in crate::engine) async fn alone(
        &mut self,
        step: &Step,
        statement: &Statement<'_>,
        number: usize,
        tell: Tell<'_>,
    ) -> Result<(), EngineError> {
        step.fate.check()?;
        if self.lock.is_closed() {
            return Err(EngineError::LockLost);
        }
        let concurrent =
            statement.leading_words(Dialect::Postgres).iter().any(|word| word == "CONCURRENTLY");
        let lock_timeout = if concurrent { 0 } else { milliseconds(step.lock_timeout) };
        let settings =
            format!("RESET ALL; SET statement_timeout = 0; SET lock_timeout = {lock_timeout}");
        self.work.batch_execute(&settings).await.map_err(|error| unreachable(&error))?;
        let sent = self.told(tell, self.work.batch_execute(statement.text));
        let (result, blocked_by) = self.watched(step.lock_timeout, sent).await;
        result.map_err(|error| refused(step, statement, number, &error, &blocked_by))
    }

    /// Awaits work, and tells how far the index is that it builds.
    async fn told<R>(&self, tell: Tell<'_>, work: impl Future<Output = R>) -> R {
        let telling = async {
            loop {
                tokio::time::sleep(TOLD).await;
                if let Ok(Some((fraction, words))) = self.progress().await {
                    tell(fraction, words);
                }
            }
        };
        tokio::select! {
            biased;
            result = work => result,
            () = telling => unreachable!("it tells for ever"),
        }
    }

    async fn progress(&self) -> Result<Option<(f64, String)>, tokio_postgres::Error> {
        let row = self
            .lock
            .query_opt(
                "SELECT phase, coalesce(blocks_done::float8 / nullif(blocks_total, 0), 0), \
                 format('%s: %s of %s blocks, %s of %s tuples, waits for %s of %s', phase, \
                 blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total) \
                 FROM pg_catalog.pg_stat_progress_create_index WHERE pid = $1",
                &[&self.work_pid],
            )
            .await?;
        Ok(row.map(|row| (row.get(1), row.get(2))))
    }

    pub(in crate::engine) async fn index_state(
        &self,
        name: &str,
    ) -> Result<IndexState, EngineError> {
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
