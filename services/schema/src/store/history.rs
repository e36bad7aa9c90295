//! What the bookkeeping says at one moment: applied revisions, the last operation, dependents.
//!
//! Reads only, also where tables are missing: Diesel's own reader would create its table.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use api::schema::v1::Dependent;
use database::{Connection, types::Time, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use revisions::RevisionSet;
use serde::Deserialize;

use self::rows::Row;
pub use self::rows::Tables;
use super::{
    checkpoint::Checkpoint,
    kinds::{Outcome, StepKind},
    layout::NewerLayout,
    operations::Operation,
    tables::alembic_version,
};

/// One snapshot of the bookkeeping.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The applied revisions, by Diesel's table.
    pub applied: BTreeSet<String>,
    /// Whether they are read from Alembic's table: the first operation takes them over.
    pub is_from_alembic: bool,
    /// The last step that ran of each revision, up or down.
    pub steps: BTreeMap<String, LastStep>,
    /// How many steps were ever committed.
    pub epoch: u64,
    /// The newest operation.
    pub last_operation: Option<Operation>,
    /// The dependents that it was forced past.
    pub forced_past: Vec<String>,
    /// The live dependents.
    pub dependents: Vec<Dependent>,
    /// The step that is half done, if any.
    pub half_done: Option<Checkpoint>,
    /// The recorded version of the bookkeeping's layout, and the build that recorded it.
    pub layout: Option<(i32, String)>,
}

/// A step, without its SQL.
#[derive(Clone, Debug, Deserialize)]
pub struct LastStep {
    id: i64,
    revision: String,
    pub direction: StepKind,
    /// SHA-256 of the text that ran.
    pub checksum: String,
    /// Builds made for an older revision than this break on it.
    pub compatible_from: Option<String>,
    pub description: String,
    pub committed_at: Time,
}

impl LastStep {
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
    /// Reads one snapshot.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read(connection: &mut Connection, revisions: &RevisionSet) -> QueryResult<Self> {
        Self::read_from(connection, revisions, &mut Tables::default()).await
    }

    /// Reads one snapshot, in one statement where the tables are the `known` ones.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read_from(
        connection: &mut Connection,
        revisions: &RevisionSet,
        known: &mut Tables,
    ) -> QueryResult<Self> {
        let mut history = Self::default();
        for row in rows::read(connection, known).await? {
            history.add(row);
        }
        let name = |dependent: &Dependent| (dependent.service.clone(), dependent.instance.clone());
        history.dependents.sort_by_key(name);
        history.forced_past.sort();
        let is_ours = !history.applied.is_empty() || history.last_operation.is_some();
        if known.alembic && !is_ours {
            history.take_from_alembic(alembic(connection).await?, revisions);
        }
        Ok(history)
    }

    fn add(&mut self, row: Row) {
        match row {
            Row::Table { .. } => {}
            Row::Applied { version } => {
                self.applied.insert(version);
            }
            Row::Step(step) => {
                self.epoch = self.epoch.max(step.id.unsigned_abs());
                self.steps.insert(step.revision.clone(), step);
            }
            Row::Operation(operation) => self.last_operation = Some(operation),
            Row::Position(checkpoint) => self.half_done = Some(checkpoint),
            Row::Dependent(dependent) => self.dependents.push(dependent.into()),
            Row::Forced { dependent } => self.forced_past.push(dependent),
            Row::Layout { version, build } => self.layout = Some((version, build)),
        }
    }

    /// Takes Alembic's current revision and all before it as applied, where it is a held one.
    fn take_from_alembic(&mut self, version: Option<String>, revisions: &RevisionSet) {
        if let Some(version) = version.filter(|version| revisions.get(version).is_some()) {
            let ids = revisions.iter().map(|revision| revision.id.to_string());
            self.applied = ids.filter(|id| *id <= version).collect();
            self.is_from_alembic = true;
        }
    }

    /// The newest applied revision; empty at base.
    pub fn current(&self) -> &str {
        self.applied.last().map_or("", String::as_str)
    }

    /// The step that applied a revision, where the ledger has it and nothing reverted it.
    pub fn applied_by(&self, revision: &str) -> Option<&LastStep> {
        self.steps.get(revision).filter(|step| step.direction == StepKind::Up)
    }

    /// Whether the last operation has no recorded outcome. It runs if the migration lock is held.
    pub fn has_unfinished_operation(&self) -> bool {
        self.last_operation.as_ref().is_some_and(|last| last.outcome == Outcome::Running)
    }

    /// Refuses bookkeeping whose layout a newer build made.
    ///
    /// # Errors
    /// The layout is newer than this build knows.
    pub fn check_layout(&self) -> Result<(), NewerLayout> {
        self.layout.as_ref().map_or(Ok(()), |(found, build)| NewerLayout::refuse(*found, build))
    }
}

async fn alembic(connection: &mut Connection) -> QueryResult<Option<String>> {
    let version = alembic_version::table.select(alembic_version::version_num).limit(1);
    with_conn!(connection, c => version.get_result(c).await.optional())
}
