//! The state of the schema: history, revision set and drift, summed up as one status. Pure functions
//! of what the observer has read.

mod message;
mod operation;

use api::schema::v1::{Backend, Drift, SchemaState, Status, operation::Outcome};
use database::types::Time;
use revisions::RevisionSet;
use wire::convert::timestamp;

use crate::store::History;

pub use message::half_done;
pub use operation::operation;

/// What one look at the live catalog found.
#[derive(Clone, Debug, Default)]
pub struct CatalogFinding {
    /// How the catalog differs from the one that the current revision promises, where it has one.
    pub drift: Option<Drift>,
    /// Why the database is unmanaged: it has known tables and no history.
    pub unmanaged: Option<String>,
}

/// What is known of a database at one moment.
pub struct Snapshot<'a> {
    pub revisions: &'a RevisionSet,
    pub history: &'a History,
    /// Whether a session holds the migration lock.
    pub is_locked: bool,
    pub finding: &'a CatalogFinding,
    pub backend: Backend,
    pub database_id: &'a str,
    /// Why the upgrade on start failed, where it did.
    pub start_failure: Option<&'a str>,
}

impl Snapshot<'_> {
    /// The answer of Current.
    pub fn state(&self) -> SchemaState {
        let Self { revisions, history, .. } = self;
        let pending: Vec<String> = revisions
            .iter()
            .filter(|revision| !history.applied.contains(revision.id.as_ref()))
            .map(|revision| revision.id.to_string())
            .collect();
        let current = history.current();
        let out_of_order =
            pending.iter().filter(|revision| revision.as_str() < current).cloned().collect();
        let unknown =
            history.applied.iter().filter(|id| revisions.get(id).is_none()).cloned().collect();
        let mut state = SchemaState {
            revision: current.into(),
            head: revisions.head().into(),
            pending,
            unknown,
            out_of_order,
            altered: self.altered(),
            database_id: self.database_id.into(),
            backend: self.backend.into(),
            epoch: history.epoch,
            observed_at: Some(timestamp(Time::now().utc())),
            compatible_from: self.compatible_from(),
            dependents: history.dependents.clone(),
            drift: self.finding.drift.clone(),
            ..SchemaState::default()
        };
        if let Some(last) = &history.last_operation {
            let last = operation(last, &history.forced_past, self.is_locked);
            match last.outcome() {
                Outcome::Running => state.running = Some(last),
                Outcome::Failed | Outcome::Interrupted => state.last_failure = Some(last),
                Outcome::Succeeded | Outcome::Unspecified => {}
            }
        }
        let status = self.status(&state);
        state.set_status(status);
        state.at_head = status == Status::AtHead;
        state.message = self.message(&state);
        state
    }

    /// Revisions that were applied with another text than the held one. Where the ledger has no text,
    /// as after the Diesel CLI, a revision counts as unaltered.
    fn altered(&self) -> Vec<String> {
        let is_altered = |id: &&String| {
            let applied = self.history.applied_by(id);
            let held = self.revisions.get(id);
            applied.zip(held).is_some_and(|(applied, held)| applied.checksum != held.checksum())
        };
        self.history.applied.iter().filter(is_altered).cloned().collect()
    }

    fn compatible_from(&self) -> String {
        let of = |id: &String| {
            let held = self.revisions.get(id);
            let held = held.and_then(|revision| revision.compatible_from.as_deref());
            held.or(self.history.applied_by(id).and_then(|step| step.compatible_from.as_deref()))
        };
        self.history.applied.iter().filter_map(of).max().unwrap_or_default().to_owned()
    }

    /// The first status that applies, in the contract's order.
    fn status(&self, state: &SchemaState) -> Status {
        let has_missing = state.drift.as_ref().is_some_and(|drift| !drift.missing.is_empty());
        if !state.altered.is_empty() {
            Status::Diverged
        } else if !state.unknown.is_empty() {
            Status::Ahead
        } else if state.running.is_some() {
            Status::Migrating
        } else if self.history.half_done.is_some() {
            Status::Failed
        } else if self.finding.unmanaged.is_some() {
            Status::Unmanaged
        } else if state.revision.is_empty() && !state.pending.is_empty() {
            Status::Empty
        } else if !state.pending.is_empty() {
            Status::Behind
        } else if has_missing {
            Status::Drifted
        } else {
            Status::AtHead
        }
    }
}
