//! One step, as an engine runs it.

use std::time::Duration;

use revisions::{Direction, Revision};

use super::CommitGuard;
use crate::store::BreakingChange;

/// Receives the progress of a step: the fraction that is done, and a message.
pub type ReportProgress<'a> = &'a (dyn Fn(f64, String) + Send + Sync);

/// A revision, applied or reverted for an operation.
#[derive(Clone, Debug)]
pub struct Step {
    pub operation_id: String,
    pub revision: Revision,
    pub direction: Direction,
    /// How long one statement may wait for a lock of the database.
    pub lock_timeout: Duration,
    /// Refuses the step if a live dependent would break when it is committed.
    pub breaking: Option<BreakingChange>,
    /// Records those dependents instead of refusing.
    pub force: bool,
    pub commit_guard: CommitGuard,
}

impl Step {
    /// The text that runs.
    pub fn sql(&self) -> &str {
        self.direction.sql(&self.revision)
    }
}
