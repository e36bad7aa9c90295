//! Repair: the held text of an altered revision is recorded as the one that was applied.

use api::schema::v1::SchemaState;
use revisions::TargetError;
use tokio::time::Instant;

use super::{
    DEFAULT_WAIT, OperationError, Operations,
    lock::{Locked, acquire_lock},
};
use crate::{
    plan::PlanError,
    store::{
        self, Operation, OperationKind, Outcome, StepKind,
        steps::{self, NewStep},
    },
};

impl Operations {
    /// Records the text that this build holds as the one that was applied.
    ///
    /// # Errors
    /// The revision is unknown or not altered, or another operation runs for too long.
    pub async fn repair(&self, id: &str, actor: &str) -> Result<SchemaState, OperationError> {
        let Some(revision) = self.observer.revisions().get(id) else {
            let head = self.observer.revisions().head().into();
            return Err(PlanError::from(TargetError::Unknown { target: id.into(), head }).into());
        };
        // The lock is held to the end of this call.
        let Locked { session: _session, mut connection, history } =
            acquire_lock(self, Instant::now() + DEFAULT_WAIT).await?;
        let is_altered =
            history.applied_by(id).is_some_and(|step| step.checksum != revision.checksum());
        if !is_altered {
            return Err(OperationError::NotAltered(id.into()));
        }
        let operation = Operation::new(OperationKind::Repair, history.current(), id, actor);
        store::operations::begin(&mut connection, &operation).await?;
        let step = NewStep::new(&operation.id, revision, StepKind::Up);
        steps::insert(&mut connection, &step).await?;
        let outcome = Outcome::Succeeded;
        store::operations::finish(&mut connection, &operation.id, outcome, id, None).await?;
        drop(connection);
        self.counts.operation(OperationKind::Repair, Outcome::Succeeded);
        tracing::info!(revision = id, actor, "revision repaired");
        self.observer.notify_changed();
        Ok(self.observer.current().await?)
    }
}
