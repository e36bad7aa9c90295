//! One transaction of a step, sent as a pipeline.

use futures_util::future::join_all;
use sql::{Statement, line_of};

use super::{
    super::{EngineError, Step},
    PostgresSession,
    error::{bookkeeping, refused, unreachable},
    monitor::milliseconds,
    records::Record,
};
use crate::store::{
    BreakingChange,
    dependents::{self, INSERT_FORCED, REGISTRATION_LOCK, SELECT_LIVE},
    steps::NewStep,
};

impl PostgresSession {
    /// Sends the statements, the records and the commit before the first is answered. After an error
    /// the server skips what follows, and answers the commit with a rollback.
    pub(super) async fn transact(
        &self,
        step: &Step,
        statements: &[Statement<'_>],
        first_number: usize,
        records: &[Record<'_>],
    ) -> Result<(), EngineError> {
        self.check(step)?;
        let Some(writer) = &self.records else {
            return Err(EngineError::Bookkeeping("session is not prepared".into()));
        };
        let mut begin = format!(
            "RESET ALL; BEGIN; {} SET LOCAL lock_timeout = {};",
            self.settings,
            milliseconds(step.lock_timeout)
        );
        if let Some(change) = &step.breaking {
            // Nothing is pipelined before it is known which dependents would break.
            self.work.batch_execute(&begin).await.map_err(|error| unreachable(&error))?;
            self.check_dependents(step, change).await?;
            begin.clear();
        }
        let row = NewStep::new(&step.operation_id, &step.revision, step.direction.into());
        let work = &self.work;
        let sent = async {
            tokio::join!(
                biased;
                work.batch_execute(&begin),
                join_all(statements.iter().map(|statement| work.batch_execute(statement.text))),
                join_all(records.iter().map(|record| writer.write(work, step, &row, record))),
                work.batch_execute("COMMIT"),
            )
        };
        let ((begun, ran, recorded, committed), blocked_by) =
            self.watch_blockers(step.lock_timeout, sent).await;
        begun.map_err(|error| unreachable(&error))?;
        for (index, (statement, result)) in statements.iter().zip(ran).enumerate() {
            result.map_err(|error| {
                refused(step, statement, first_number + index, &error, &blocked_by)
            })?;
        }
        for result in recorded {
            result.map_err(|error| bookkeeping(&error))?;
        }
        // Deferred constraints are checked by the commit.
        let end = step.sql().len();
        let last = Statement { text: "COMMIT", line: line_of(step.sql(), end), offset: end };
        let number = first_number + statements.len();
        committed.map_err(|error| refused(step, &last, number, &error, &blocked_by))
    }

    /// Refuses where the step was cancelled or the migration lock is lost.
    pub(super) fn check(&self, step: &Step) -> Result<(), EngineError> {
        step.commit_guard.check()?;
        if self.lock.is_closed() { Err(EngineError::LockLost) } else { Ok(()) }
    }

    /// Checks the live dependents again, now that none can register until the transaction ends.
    async fn check_dependents(
        &self,
        step: &Step,
        change: &BreakingChange,
    ) -> Result<(), EngineError> {
        let checked = async {
            let lock = "SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))";
            self.work.execute(lock, &[&REGISTRATION_LOCK]).await?;
            let rows = self.work.query(SELECT_LIVE, &[]).await?;
            let live = rows
                .iter()
                .map(|row| dependents::live(row.get(0), row.get(1), row.get(2), row.get(3)));
            let mut broken = change.broken(live);
            if step.force {
                for name in broken.drain(..) {
                    self.work.execute(INSERT_FORCED, &[&step.operation_id, &name]).await?;
                }
            }
            Ok::<_, tokio_postgres::Error>(broken)
        };
        let result = checked.await;
        if result.as_ref().is_ok_and(Vec::is_empty) {
            return Ok(());
        }
        self.work.batch_execute("ROLLBACK").await.map_err(|error| unreachable(&error))?;
        Err(result.map_or_else(
            |error| unreachable(&error),
            |broken| EngineError::Dependents(broken.join(", ")),
        ))
    }
}
