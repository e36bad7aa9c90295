//! The switch that decides, exactly once, whether a step commits or is cancelled.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use super::EngineError;

const OPEN: u8 = 0;
const COMMITTING: u8 = 1;
const CANCELLED: u8 = 2;

/// Shared by the thread that runs a step and the task that may cancel it. A thread in SQLite cannot
/// be stopped, so it asks before each commit: a step that was reported as rolled back must not
/// commit a moment later.
#[derive(Clone, Debug, Default)]
pub struct CommitGuard(Arc<AtomicU8>);

impl CommitGuard {
    /// Forbids all commits from now on. False where one is in progress.
    pub(super) fn cancel(&self) -> bool {
        let was = self.0.compare_exchange(OPEN, CANCELLED, Ordering::AcqRel, Ordering::Acquire);
        matches!(was, Ok(_) | Err(CANCELLED))
    }

    /// Refuses where the step is cancelled.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        match self.0.load(Ordering::Acquire) {
            CANCELLED => Err(EngineError::Cancelled),
            _ => Ok(()),
        }
    }

    /// Runs work that ends with a commit. Right before the commit it calls its argument, which
    /// refuses where the step is cancelled, and lets no cancellation in after that.
    pub(super) fn run<R>(&self, work: impl FnOnce(&dyn Fn() -> Result<(), EngineError>) -> R) -> R {
        let swap =
            |from, to| self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        let result = work(&|| swap(OPEN, COMMITTING).map(drop).map_err(|_| EngineError::Cancelled));
        // Changes nothing where the work failed before its commit.
        let _ = swap(COMMITTING, OPEN);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_step_commits_nothing_and_a_committing_step_is_not_cancelled() {
        let guard = CommitGuard::default();
        guard.run(|begin_commit| {
            begin_commit().unwrap();
            assert!(!guard.cancel());
        });
        guard.check().unwrap();
        guard.run(|_| {});
        guard.run(|begin_commit| {
            assert!(guard.cancel());
            begin_commit().unwrap_err();
        });
        guard.check().unwrap_err();
        assert!(guard.cancel());
    }
}
