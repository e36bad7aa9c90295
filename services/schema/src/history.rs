//! What the database says of its own past: Diesel's table, and the ledger beside it.
//!
//! Reads only, also where the tables are missing: Diesel's own reader would create its table.

use std::collections::{BTreeMap, BTreeSet};

use api::schema::v1::Dependent;
use common::{
    database::{Connection, types::Time},
    with_conn,
};
use diesel::{dsl::max, prelude::*, sql_types::Bool};
use diesel_async::RunQueryDsl;

use crate::{
    dependents,
    ledger::{self, schemagate_operations, schemagate_positions, schemagate_steps},
    line::Line,
};

diesel::table! {
    /// Diesel's.
    __diesel_schema_migrations (version) {
        version -> Text,
    }
}

diesel::table! {
    /// Alembic's.
    alembic_version (version_num) {
        version_num -> Text,
    }
}

/// The past, as one snapshot has it.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The revisions that are applied. Diesel's table is the truth about that.
    pub applied: BTreeSet<String>,
    /// Whether it is Alembic's word that they are: the first operation takes it over.
    pub from_alembic: bool,
    /// The last step that ran of each revision, up or down.
    pub steps: BTreeMap<String, Mark>,
    /// How many steps were committed, ever.
    pub epoch: u64,
    /// The newest operation.
    pub last_operation: Option<ledger::Operation>,
    /// The services that live on this schema.
    pub dependents: Vec<Dependent>,
    /// The step that is half done, if any.
    pub half_done: Option<ledger::Position>,
}

/// A step, without its SQL.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = schemagate_steps)]
pub struct Mark {
    id: i64,
    revision: String,
    /// `up` or `down`.
    pub direction: String,
    /// SHA-256 of the text that ran.
    pub checksum: String,
    /// Builds made for an older revision than this break on it.
    pub compatible_from: Option<String>,
    /// What the revision does.
    pub description: String,
    /// When it was committed.
    pub committed_at: Time,
}

#[derive(QueryableByName)]
struct Present {
    #[diesel(sql_type = Bool)]
    diesel: bool,
    #[diesel(sql_type = Bool)]
    ledger: bool,
    #[diesel(sql_type = Bool)]
    alembic: bool,
}

impl History {
    /// Reads it all, as of one moment.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read(connection: &mut Connection, line: &Line) -> QueryResult<Self> {
        connection.snapshot(async |connection| Self::of(connection, line).await).await
    }

    /// Reads it all inside of a snapshot.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn of(connection: &mut Connection, line: &Line) -> QueryResult<Self> {
        let present = present(connection).await?;
        let mut history = Self::default();
        if present.diesel {
            let query =
                __diesel_schema_migrations::table.select(__diesel_schema_migrations::version);
            let applied: Vec<String> = with_conn!(connection, c => query.load(c).await)?;
            history.applied = applied.into_iter().collect();
        }
        if present.ledger {
            let marks = marks(connection).await?;
            history.epoch =
                marks.iter().map(|mark| mark.id.unsigned_abs()).max().unwrap_or_default();
            history.steps = marks.into_iter().map(|mark| (mark.revision.clone(), mark)).collect();
            history.last_operation = newest(connection, None, 1).await?.pop();
            history.half_done = half_done(connection).await?;
            history.dependents = dependents::live(connection).await?;
        }
        let ours = !history.applied.is_empty() || history.last_operation.is_some();
        if present.alembic && !ours {
            history.believe(alembic(connection).await?, line);
        }
        Ok(history)
    }

    /// Takes Alembic's word, where it speaks of a revision that is held.
    fn believe(&mut self, version: Option<String>, line: &Line) {
        if let Some(version) = version.filter(|version| line.get(version).is_some()) {
            let ids = line.iter().map(|revision| revision.id.to_string());
            self.applied = ids.filter(|id| *id <= version).collect();
            self.from_alembic = true;
        }
    }

    /// The newest revision that is applied; empty before the first.
    pub fn current(&self) -> &str {
        self.applied.last().map_or("", String::as_str)
    }

    /// The step that applied a revision, where the ledger has it and nothing took it back.
    pub fn applied_by(&self, revision: &str) -> Option<&Mark> {
        self.steps.get(revision).filter(|mark| mark.direction == "up")
    }
}

/// Whether our tables are there.
///
/// # Errors
/// The database cannot be read.
pub async fn has_ledger(connection: &mut Connection) -> QueryResult<bool> {
    present(connection).await.map(|present| present.ledger)
}

async fn present(connection: &mut Connection) -> QueryResult<Present> {
    let query = diesel::sql_query(match connection {
        Connection::Postgres(_) => {
            "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS diesel, \
             to_regclass('schemagate_dependents') IS NOT NULL AS ledger, \
             to_regclass('alembic_version') IS NOT NULL AS alembic"
        }
        Connection::Sqlite(_) => {
            "SELECT count(*) FILTER (WHERE name = '__diesel_schema_migrations') > 0 AS diesel, \
             count(*) FILTER (WHERE name = 'schemagate_dependents') > 0 AS ledger, \
             count(*) FILTER (WHERE name = 'alembic_version') > 0 AS alembic \
             FROM sqlite_schema WHERE type = 'table'"
        }
    });
    with_conn!(connection, c => query.get_result(c).await)
}

async fn alembic(connection: &mut Connection) -> QueryResult<Option<String>> {
    let version = alembic_version::table.select(alembic_version::version_num).limit(1);
    with_conn!(connection, c => version.get_result(c).await.optional())
}

async fn marks(connection: &mut Connection) -> QueryResult<Vec<Mark>> {
    use schemagate_steps::dsl::{id, revision, schemagate_steps as steps};
    // Two queries of one snapshot: Diesel has no table-valued subselect with an aggregate.
    let newest = steps.group_by(revision).select(max(id));
    let newest: Vec<Option<i64>> = with_conn!(connection, c => newest.load(c).await)?;
    let marks = steps.filter(id.eq_any(newest.into_iter().flatten()));
    with_conn!(connection, c => marks.select(Mark::as_select()).load(c).await)
}

/// At most `count` operations that are older than the one named, newest first. Ids are UUIDv7:
/// their order is time's.
///
/// # Errors
/// The ledger cannot be read.
pub async fn operations(
    connection: &mut Connection,
    before: Option<String>,
    count: usize,
) -> QueryResult<Vec<ledger::Operation>> {
    if !present(connection).await?.ledger {
        return Ok(Vec::new());
    }
    newest(connection, before, count).await
}

async fn newest(
    connection: &mut Connection,
    before: Option<String>,
    count: usize,
) -> QueryResult<Vec<ledger::Operation>> {
    use schemagate_operations::dsl::{id, schemagate_operations as operations};
    // Above every UUID.
    let before = before.unwrap_or_else(|| "~".into());
    let page = operations
        .filter(id.lt(before))
        .order(id.desc())
        .limit(i64::try_from(count).unwrap_or(i64::MAX));
    with_conn!(connection, c => page.select(ledger::Operation::as_select()).load(c).await)
}

async fn half_done(connection: &mut Connection) -> QueryResult<Option<ledger::Position>> {
    let first = schemagate_positions::table.limit(1);
    with_conn!(connection, c => {
        first.select(ledger::Position::as_select()).get_result(c).await.optional()
    })
}
