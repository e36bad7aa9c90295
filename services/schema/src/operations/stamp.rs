//! Stamp: a revision is recorded as applied without running it. It adopts what another tool made.

use std::collections::BTreeSet;

use api::schema::v1::SchemaState;
use catalog::{Catalog, nearest, text_in_boolean_columns};
use database::Connection;
use revisions::RevisionSet;
use tokio::time::Instant;

use super::{
    DEFAULT_WAIT, OperationError, Operations,
    lock::{Locked, acquire_lock},
    run::log_forced,
};
use crate::{
    plan::{PlanError, broken_names},
    store::{BreakingChange, History, Operation, OperationKind, Outcome, stamp::stamp},
};

impl Operations {
    /// Records that the database is at a held revision, and at every older one; with an empty
    /// revision, that nothing is applied.
    ///
    /// # Errors
    /// The live catalog is not that of the revision (unless forced), or another operation runs for
    /// too long.
    pub async fn stamp(
        &self,
        revision: &str,
        force: bool,
        actor: &str,
    ) -> Result<SchemaState, OperationError> {
        // The lock is held to the end of this call.
        let Locked { session: _session, mut connection, history } =
            acquire_lock(self, Instant::now() + DEFAULT_WAIT).await?;
        let wanted = up_to(self.observer.revisions(), revision);
        if wanted != history.applied || history.half_done.is_some() {
            let broken = self.would_break(&history, &wanted, revision);
            if !force && !broken.is_empty() {
                return Err(OperationError::Dependents(broken.join(", ")));
            }
            if !force && !revision.is_empty() {
                self.check_catalog(&mut connection, &history, revision).await?;
            }
            let kind = OperationKind::Stamp;
            let operation = Operation::new(kind, history.current(), revision, actor);
            stamp(&mut connection, &operation, &history.applied, &wanted, &broken).await?;
            self.counts.operation(kind, Outcome::Succeeded);
            tracing::info!(revision, actor, force, "revision stamped");
            log_forced(&operation, &broken);
        }
        drop(connection);
        self.observer.notify_changed();
        Ok(self.observer.current().await?)
    }

    /// The names of the live dependents that could not run on the stamped schema.
    fn would_break(
        &self,
        history: &History,
        wanted: &BTreeSet<String>,
        revision: &str,
    ) -> Vec<String> {
        let held = self.observer.revisions();
        let compatible_from = |id: &String| held.get(id).and_then(|it| it.compatible_from.clone());
        let mut changes: Vec<_> = wanted
            .difference(&history.applied)
            .filter_map(compatible_from)
            .map(|from| Some(BreakingChange::CompatibleFrom(from.into())))
            .collect();
        if history.current() > revision {
            changes.push(Some(BreakingChange::DowngradeTo(revision.into())));
        }
        broken_names(&changes, history)
    }

    /// Refuses a revision whose catalog is not the live one.
    async fn check_catalog(
        &self,
        connection: &mut Connection,
        history: &History,
        revision: &str,
    ) -> Result<(), OperationError> {
        let held = self.observer.revisions();
        let unknown: Vec<_> =
            history.applied.iter().filter(|id| held.get(id).is_none()).cloned().collect();
        if !unknown.is_empty() {
            return Err(PlanError::Unknown(unknown.join(", ")).into());
        }
        let live = Catalog::read(connection).await?;
        let expected = self.observer.inspector().expected();
        let candidates = expected.candidates(&live);
        let candidate = candidates.iter().find(|candidate| candidate.revision == revision);
        let (Some(candidate), Some(expected)) = (candidate, expected.get(revision)) else {
            return Err(OperationError::NotDescribed(revision.into()));
        };
        let mut differences = candidate.obstacles.clone();
        if candidate.is_match() {
            differences = text_in_boolean_columns(connection, expected).await?;
        }
        if differences.is_empty() {
            return Ok(());
        }
        let other =
            nearest(&candidates).filter(|other| other.is_match() && other.revision != revision);
        let differences = differences.iter().chain(&candidate.degraded);
        Err(OperationError::CatalogDiffers {
            revision: revision.into(),
            differences: differences.map(ToString::to_string).collect(),
            matching: other.map(|other| other.revision.clone()),
        })
    }
}

fn up_to(held: &RevisionSet, revision: &str) -> BTreeSet<String> {
    let ids = held.iter().map(|held| held.id.to_string());
    ids.filter(|id| id.as_str() <= revision).collect()
}
