//! Stamp: a revision counts as applied without being run. It adopts what something else made.

use std::collections::BTreeSet;

use api::schema::v1::SchemaState;
use database::Connection;
use diesel::QueryResult;
use tokio::time::Instant;

use super::{
    Operations, WAIT,
    run::{hold, warn_of_force},
};
use crate::{
    catalog::{Catalog, misfits, nearest},
    dependents::{self, Threat},
    error::OperationError,
    history::History,
    ledger,
    line::Line,
    plan::broken,
};

/// Who asked, where it is Alembic's history that is taken over.
const ALEMBIC: &str = "alembic_version";

impl Operations {
    /// Records that the database is at a revision that is held, and at every older one; with none
    /// (""), that nothing is applied.
    ///
    /// # Errors
    /// The live catalog does not look like that revision (unless forced), or another operation
    /// runs for too long.
    pub async fn stamp(
        &self,
        revision: &str,
        force: bool,
        actor: &str,
    ) -> Result<SchemaState, OperationError> {
        // Held to the end of this call.
        let (_session, mut connection, history) = hold(self, Instant::now() + WAIT).await?;
        let wanted = up_to(self.observer.line(), revision);
        if wanted != history.applied || history.half_done.is_some() {
            let broken = self.would_break(&history, &wanted, revision);
            if !force && !broken.is_empty() {
                return Err(OperationError::Dependents(broken.join(", ")));
            }
            if !force && !revision.is_empty() {
                self.recognise(&mut connection, &history, revision).await?;
            }
            let operation = ledger::Operation::new("stamp", history.current(), revision, actor);
            let (before, after) = (&history.applied, &wanted);
            ledger::stamp(&mut connection, &operation, before, after, &broken).await?;
            self.counts.operation("stamp", "succeeded");
            tracing::info!(revision, actor, force, "stamped");
            warn_of_force(&operation, &broken);
        }
        drop(connection);
        self.observer.changed();
        Ok(self.observer.current().await?)
    }

    /// The live dependents that could not run on it, if it were so.
    fn would_break(
        &self,
        history: &History,
        wanted: &BTreeSet<String>,
        revision: &str,
    ) -> Vec<String> {
        let line = self.observer.line();
        let breaking = |id: &String| line.get(id).and_then(|held| held.compatible_from.clone());
        let mut threats: Vec<_> = wanted
            .difference(&history.applied)
            .filter_map(breaking)
            .map(|from| Some(Threat::CompatibleFrom(from.into())))
            .collect();
        if history.current() > revision {
            threats.push(Some(Threat::Below(revision.into())));
        }
        broken(&threats, history).iter().map(dependents::name).collect()
    }

    /// Refuses a revision that the database does not look like.
    async fn recognise(
        &self,
        connection: &mut Connection,
        history: &History,
        revision: &str,
    ) -> Result<(), OperationError> {
        let line = self.observer.line();
        let unknown = |id: &&String| line.get(id).is_none();
        let unknown: Vec<_> = history.applied.iter().filter(unknown).cloned().collect();
        if !unknown.is_empty() {
            return Err(OperationError::Unknown(unknown.join(", ")));
        }
        let live = Catalog::read(connection).await?;
        let promises = self.observer.inspector().promises();
        let fits = promises.recognise(&live);
        let fit = fits.iter().find(|fit| fit.revision == revision);
        let (Some(fit), Some(promise)) = (fit, promises.get(revision)) else {
            return Err(OperationError::NotDescribed(revision.into()));
        };
        let mut differences = fit.obstacles.clone();
        if fit.fits() {
            differences = misfits(connection, promise).await?;
        }
        if differences.is_empty() {
            return Ok(());
        }
        let other = nearest(&fits).filter(|other| other.fits() && other.revision != revision);
        Err(OperationError::LooksDifferent {
            revision: revision.into(),
            differences: differences.into_iter().chain(fit.degraded.iter().cloned()).collect(),
            fits: other.map(|other| other.revision.clone()),
        })
    }
}

/// Writes down as ours what Alembic's history says is applied.
pub(super) async fn take_over(connection: &mut Connection, history: &History) -> QueryResult<()> {
    let revision = history.current();
    let operation = ledger::Operation::new("stamp", "", revision, ALEMBIC);
    ledger::stamp(connection, &operation, &BTreeSet::new(), &history.applied, &[]).await?;
    tracing::info!(revision, "taken over from Alembic");
    Ok(())
}

fn up_to(line: &Line, revision: &str) -> BTreeSet<String> {
    let ids = line.iter().map(|held| held.id.to_string());
    ids.filter(|id| id.as_str() <= revision).collect()
}
