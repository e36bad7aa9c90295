//! What is written beside a step: Diesel's table and the ledger, under names that no change of
//! the search path can turn.

use tokio_postgres::{Client, Error, Statement, types::ToSql};

use super::super::Step;
use crate::ledger::Position;
use revisions::Direction;

/// One thing to write.
pub(super) enum Entry<'a> {
    /// The step: Diesel's table and the ledger's.
    Step,
    /// How far it came.
    Position(&'a Position),
    /// It is no longer half done.
    NoPosition,
}

/// The statements, prepared once a session.
pub(super) struct Booking {
    up: Statement,
    down: Statement,
    position: Statement,
    no_position: Statement,
}

impl Booking {
    pub(super) async fn prepare(work: &Client, schema: &str) -> Result<Self, Error> {
        let step = format!(
            "INSERT INTO {schema}.schemagate_steps (operation_id, revision, description, direction, \
             checksum, up_sql, down_sql, transactional, compatible_from, duration_us, committed_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
             (extract(epoch FROM clock_timestamp() - now()) * 1000000)::bigint, clock_timestamp())"
        );
        let versions = format!("{schema}.__diesel_schema_migrations");
        let positions = format!("{schema}.schemagate_positions");
        let up = format!("WITH v AS (INSERT INTO {versions} (version) VALUES ($2)) {step}");
        let down = format!("WITH v AS (DELETE FROM {versions} WHERE version = $2) {step}");
        let position = format!(
            "INSERT INTO {positions} (revision, direction, done, begun, total, done_checksum) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (revision) DO UPDATE SET \
             direction = $2, done = $3, begun = $4, total = $5, done_checksum = $6"
        );
        let no_position = format!("DELETE FROM {positions} WHERE revision = $1");
        let (up, down, position, no_position) = tokio::try_join!(
            work.prepare(&up),
            work.prepare(&down),
            work.prepare(&position),
            work.prepare(&no_position),
        )?;
        Ok(Self { up, down, position, no_position })
    }

    /// Sends one entry; the first poll does, so that several fly together.
    pub(super) async fn write(
        &self,
        work: &Client,
        step: &Step,
        checksum: &str,
        entry: &Entry<'_>,
    ) -> Result<u64, Error> {
        let revision = &step.revision;
        let direction = step.direction.as_str();
        let row: Vec<&(dyn ToSql + Sync)> = match entry {
            Entry::Step => vec![
                &step.operation_id,
                &revision.id,
                &revision.description,
                &direction,
                &checksum,
                &revision.up,
                &revision.down,
                &revision.transactional,
                &revision.compatible_from,
            ],
            Entry::Position(at) => {
                vec![&at.revision, &at.direction, &at.done, &at.begun, &at.total, &at.done_checksum]
            }
            Entry::NoPosition => vec![&revision.id],
        };
        let statement = match (entry, step.direction) {
            (Entry::Step, Direction::Up) => &self.up,
            (Entry::Step, Direction::Down) => &self.down,
            (Entry::Position(_), _) => &self.position,
            (Entry::NoPosition, _) => &self.no_position,
        };
        work.execute(statement, &row).await
    }
}
