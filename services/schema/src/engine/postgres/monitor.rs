//! What the lock's connection observes of a statement that runs on the other: who blocks it, and how
//! far its index build is.

use std::{future::Future, time::Duration};

use super::{super::ReportProgress, PostgresSession};

/// The shortest time between two queries for blockers.
const MIN_BLOCKERS_INTERVAL: Duration = Duration::from_millis(20);

/// How often the progress of an index build is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

impl PostgresSession {
    /// Awaits work, and returns with its result the sessions that blocked it last. They are read
    /// while it runs: after a lock timeout has fired, the server no longer knows.
    pub(super) async fn watch_blockers<R>(
        &self,
        lock_timeout: Duration,
        work: impl Future<Output = R>,
    ) -> (R, Vec<String>) {
        let interval = lock_timeout.mul_f64(0.4).max(MIN_BLOCKERS_INTERVAL);
        let mut blocked_by = Vec::new();
        let watch = async {
            loop {
                tokio::time::sleep(interval).await;
                if let Ok(found) = self.blockers().await
                    && !found.is_empty()
                {
                    blocked_by = found;
                }
            }
        };
        let result = tokio::select! {
            biased;
            result = work => result,
            () = watch => unreachable!("watch never ends"),
        };
        (result, blocked_by)
    }

    async fn blockers(&self) -> Result<Vec<String>, tokio_postgres::Error> {
        let rows = self
            .lock
            .query(
                "SELECT format('pid %s (%s, in its transaction for %s s: %s)', pid, \
                 coalesce(nullif(application_name, ''), usename), \
                 round(extract(epoch FROM clock_timestamp() - xact_start)), \
                 left(regexp_replace(query, '\\s+', ' ', 'g'), 60)) \
                 FROM pg_catalog.pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1))",
                &[&self.work_pid],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Awaits work, and reports the progress of the index that it builds.
    pub(super) async fn report_index_build<R>(
        &self,
        progress: ReportProgress<'_>,
        work: impl Future<Output = R>,
    ) -> R {
        let report = async {
            loop {
                tokio::time::sleep(PROGRESS_INTERVAL).await;
                if let Ok(Some((fraction, message))) = self.index_build().await {
                    progress(fraction, message);
                }
            }
        };
        tokio::select! {
            biased;
            result = work => result,
            () = report => unreachable!("report never ends"),
        }
    }

    async fn index_build(&self) -> Result<Option<(f64, String)>, tokio_postgres::Error> {
        let row = self
            .lock
            .query_opt(
                "SELECT phase, coalesce(blocks_done::float8 / nullif(blocks_total, 0), 0), \
                 format('%s: %s of %s blocks, %s of %s tuples, %s of %s lockers', phase, \
                 blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total) \
                 FROM pg_catalog.pg_stat_progress_create_index WHERE pid = $1",
                &[&self.work_pid],
            )
            .await?;
        Ok(row.map(|row| (row.get(1), row.get(2))))
    }
}

/// A timeout for PostgreSQL, where zero would disable it.
pub(super) fn milliseconds(timeout: Duration) -> u128 {
    timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into())
}
