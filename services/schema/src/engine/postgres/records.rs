//! What is written beside a step: Diesel's table, the ledger and the checkpoint, under qualified
//! names that no change of the search path can redirect.

use revisions::Direction;
use tokio_postgres::{Client, Error, Statement, types::ToSql};

use super::super::Step;
use crate::store::{
    Checkpoint,
    steps::{self, NewStep},
};

/// One thing to write.
pub(super) enum Record<'a> {
    /// The step: Diesel's table and the ledger's.
    Step,
    Checkpoint(&'a Checkpoint),
    /// Removes the checkpoint of a step that ended.
    NoCheckpoint,
}

/// The statements, prepared once per session.
pub(super) struct Records {
    up: Statement,
    down: Statement,
    checkpoint: Statement,
    no_checkpoint: Statement,
}

impl Records {
    pub async fn prepare(work: &Client, schema: &str) -> Result<Self, Error> {
        let step = steps::postgres_insert(schema);
        let versions = format!("{schema}.__diesel_schema_migrations");
        let positions = format!("{schema}.schemagate_positions");
        let up = format!("WITH v AS (INSERT INTO {versions} (version) VALUES ($2)) {step}");
        let down = format!("WITH v AS (DELETE FROM {versions} WHERE version = $2) {step}");
        let checkpoint = format!(
            "INSERT INTO {positions} (revision, direction, done, begun, total, done_checksum) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (revision) DO UPDATE SET \
             direction = $2, done = $3, begun = $4, total = $5, done_checksum = $6"
        );
        let no_checkpoint = format!("DELETE FROM {positions} WHERE revision = $1");
        let (up, down, checkpoint, no_checkpoint) = tokio::try_join!(
            work.prepare(&up),
            work.prepare(&down),
            work.prepare(&checkpoint),
            work.prepare(&no_checkpoint),
        )?;
        Ok(Self { up, down, checkpoint, no_checkpoint })
    }

    /// Sends one record with its first poll, so that several can be pipelined.
    pub async fn write(
        &self,
        work: &Client,
        step: &Step,
        row: &NewStep<'_>,
        record: &Record<'_>,
    ) -> Result<u64, Error> {
        let direction = row.direction.as_str();
        match record {
            Record::Step => {
                let statement = match step.direction {
                    Direction::Up => &self.up,
                    Direction::Down => &self.down,
                };
                let parameters: [&(dyn ToSql + Sync); 9] = [
                    &row.operation_id,
                    &row.revision,
                    &row.description,
                    &direction,
                    &row.checksum,
                    &row.up_sql,
                    &row.down_sql,
                    &row.transactional,
                    &row.compatible_from,
                ];
                work.execute(statement, &parameters).await
            }
            Record::Checkpoint(at) => {
                let direction = at.direction.as_str();
                let parameters: [&(dyn ToSql + Sync); 6] =
                    [&at.revision, &direction, &at.done, &at.begun, &at.total, &at.done_checksum];
                work.execute(&self.checkpoint, &parameters).await
            }
            Record::NoCheckpoint => work.execute(&self.no_checkpoint, &[&row.revision]).await,
        }
    }
}
