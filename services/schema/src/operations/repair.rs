//! Repair: today's text of an altered revision counts as the one that was applied.

use api::schema::v1::SchemaState;
use tokio::time::Instant;

use super::{Operations, WAIT, run::hold};
use crate::{error::OperationError, ledger};
use revisions::TargetError;

impl Operations {
    /// Takes the text that this service holds for an altered revision as the right one, and writes
    /// down who said so.
    ///
    /// # Errors
    /// The revision is unknown or not altered, or another operation runs for too long.
    pub async fn repair(&self, id: &str, actor: &str) -> Result<SchemaState, OperationError> {
        let Some(revision) = self.observer.line().get(id) else {
            let head = self.observer.line().head().into();
            return Err(TargetError::Unknown { target: id.into(), head }.into());
        };
        // Held to the end of this call.
        let (_session, mut connection, history) = hold(self, Instant::now() + WAIT).await?;
        let altered = history.applied_by(id).is_some_and(|ran| ran.checksum != revision.checksum());
        if !altered {
            return Err(OperationError::NotAltered(id.into()));
        }
        let operation = ledger::Operation::new("repair", history.current(), id, actor);
        ledger::begin(&mut connection, &operation).await?;
        ledger::note(&mut connection, &operation, revision, "up").await?;
        ledger::end(&mut connection, &operation.id, "succeeded", id, None).await?;
        drop(connection);
        self.counts.operation("repair", "succeeded");
        tracing::info!(revision = id, actor, "repaired: today's text counts as the applied one");
        self.observer.changed();
        Ok(self.observer.current().await?)
    }
}
