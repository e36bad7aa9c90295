//! What the database says of its own past: Diesel's table, and the ledger beside it.
//!
//! Reads only, also where the tables are missing: Diesel's own reader would create its table.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use api::schema::v1::Dependent;
use database::{Connection, types::Time, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Deserialize;

use self::rows::Row;
pub use self::rows::Tables;
use crate::{
    ledger::{self, schemagate_operations},
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
    /// Whom it went on past by force.
    pub forced_past: Vec<String>,
    /// The services that live on this schema.
    pub dependents: Vec<Dependent>,
    /// The step that is half done, if any.
    pub half_done: Option<ledger::Position>,
}

/// A step, without its SQL.
#[derive(Clone, Debug, Deserialize)]
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

impl Mark {
    const COLUMNS: &[&str] = &[
        "id",
        "revision",
        "direction",
        "checksum",
        "compatible_from",
        "description",
        "committed_at",
    ];
}

impl History {
    /// Reads it all, as of one moment.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read(connection: &mut Connection, line: &Line) -> QueryResult<Self> {
        Self::read_from(connection, line, &mut Tables::default()).await
    }

    /// Reads it all, in one statement where the tables are those that are known already.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read_from(
        connection: &mut Connection,
        line: &Line,
        known: &mut Tables,
    ) -> QueryResult<Self> {
        let mut history = Self::default();
        for row in rows::read(connection, known).await? {
            history.add(row);
        }
        let name = |dependent: &Dependent| (dependent.service.clone(), dependent.instance.clone());
        history.dependents.sort_by_key(name);
        history.forced_past.sort();
        let ours = !history.applied.is_empty() || history.last_operation.is_some();
        if known.alembic && !ours {
            history.believe(alembic(connection).await?, line);
        }
        Ok(history)
    }

    fn add(&mut self, row: Row) {
        match row {
            Row::Table { .. } => {}
            Row::Applied { version } => {
                self.applied.insert(version);
            }
            Row::Step(mark) => {
                self.epoch = self.epoch.max(mark.id.unsigned_abs());
                self.steps.insert(mark.revision.clone(), mark);
            }
            Row::Operation(operation) => self.last_operation = Some(operation),
            Row::Position(position) => self.half_done = Some(position),
            Row::Dependent(dependent) => self.dependents.push(dependent.into()),
            Row::Forced { dependent } => self.forced_past.push(dependent),
        }
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

/// At most `count` operations that are older than the one named, newest first, each with whom it
/// went on past by force. Ids are UUIDv7: their order is time's.
///
/// # Errors
/// The ledger cannot be read.
pub async fn operations(
    connection: &mut Connection,
    before: Option<String>,
    count: usize,
) -> QueryResult<Vec<(ledger::Operation, Vec<String>)>> {
    use schemagate_operations::dsl::{id, schemagate_operations as operations};
    let tables = Tables::read(connection).await?;
    if !tables.ledger {
        return Ok(Vec::new());
    }
    // Above every UUID.
    let before = before.unwrap_or_else(|| "~".into());
    let page = operations
        .filter(id.lt(before))
        .order(id.desc())
        .limit(i64::try_from(count).unwrap_or(i64::MAX));
    let page: Vec<ledger::Operation> =
        with_conn!(connection, c => page.select(ledger::Operation::as_select()).load(c).await)?;
    let mut forced = BTreeMap::new();
    if tables.forced {
        let ids: Vec<&str> = page.iter().map(|operation| operation.id.as_str()).collect();
        forced = ledger::forced(connection, &ids).await?;
    }
    let with_forced = |operation: ledger::Operation| {
        let past = forced.remove(&operation.id).unwrap_or_default();
        (operation, past)
    };
    Ok(page.into_iter().map(with_forced).collect())
}

async fn alembic(connection: &mut Connection) -> QueryResult<Option<String>> {
    let version = alembic_version::table.select(alembic_version::version_num).limit(1);
    with_conn!(connection, c => version.get_result(c).await.optional())
}
