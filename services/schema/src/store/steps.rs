//! The row of a step in the ledger: every writer of it builds it here.

use database::{Connection, types::Time, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use revisions::Revision;

use super::{kinds::StepKind, tables::schemagate_steps};

/// A step that is committed with its revision, or a note that nothing ran.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = schemagate_steps)]
pub struct NewStep<'a> {
    pub operation_id: &'a str,
    pub revision: &'a str,
    pub description: &'a str,
    pub direction: StepKind,
    /// SHA-256 of both texts; empty where the text that ran is unknown.
    pub checksum: String,
    pub up_sql: &'a str,
    pub down_sql: &'a str,
    pub transactional: bool,
    pub compatible_from: Option<&'a str>,
    pub duration_us: i64,
    pub committed_at: Time,
}

impl<'a> NewStep<'a> {
    /// A step with a revision's text, committed now.
    pub fn new(operation_id: &'a str, revision: &'a Revision, direction: StepKind) -> Self {
        Self {
            operation_id,
            revision: &revision.id,
            description: &revision.description,
            direction,
            checksum: revision.checksum(),
            up_sql: &revision.up,
            down_sql: &revision.down,
            transactional: revision.transactional,
            compatible_from: revision.compatible_from.as_deref(),
            duration_us: 0,
            committed_at: Time::now(),
        }
    }

    /// A step that ran nothing, of a revision whose text is unknown.
    pub fn without_text(
        operation_id: &'a str,
        revision: &'a str,
        direction: StepKind,
        committed_at: Time,
    ) -> Self {
        Self {
            operation_id,
            revision,
            description: "",
            direction,
            checksum: String::new(),
            up_sql: "",
            down_sql: "",
            transactional: true,
            compatible_from: None,
            duration_us: 0,
            committed_at,
        }
    }
}

/// The same row for a statement that PostgreSQL prepares and that times itself: `$1` to `$9` are the
/// columns of [`NewStep`] up to `compatible_from`.
pub fn postgres_insert(schema: &str) -> String {
    format!(
        "INSERT INTO {schema}.schemagate_steps (operation_id, revision, description, direction, \
         checksum, up_sql, down_sql, transactional, compatible_from, duration_us, committed_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
         (extract(epoch FROM clock_timestamp() - now()) * 1000000)::bigint, clock_timestamp())"
    )
}

/// Inserts a step.
///
/// # Errors
/// The ledger cannot be written.
pub async fn insert(connection: &mut Connection, step: &NewStep<'_>) -> QueryResult<usize> {
    let insert = diesel::insert_into(schemagate_steps::table).values(step);
    with_conn!(connection, c => insert.execute(c).await)
}

/// The text of a revision as it was last applied.
///
/// # Errors
/// The ledger cannot be read.
pub async fn applied_text(connection: &mut Connection, id: &str) -> QueryResult<Option<Revision>> {
    use schemagate_steps::dsl;
    let query = schemagate_steps::table
        .filter(dsl::revision.eq(id).and(dsl::direction.eq(StepKind::Up)))
        .order(dsl::id.desc())
        .limit(1)
        .select((
            dsl::description,
            dsl::up_sql,
            dsl::down_sql,
            dsl::transactional,
            dsl::compatible_from,
        ));
    type Row = (String, String, String, bool, Option<String>);
    let row: Option<Row> = with_conn!(connection, c => query.get_result(c).await.optional())?;
    Ok(row.map(|(description, up, down, transactional, compatible_from)| Revision {
        id: id.to_owned().into(),
        description: description.into(),
        up: up.into(),
        down: down.into(),
        transactional,
        compatible_from: compatible_from.map(Into::into),
        catalog: None,
    }))
}
