//! The end of a step that its server has no time for: it is rolled back, unless it is committed.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use database::Postgres;
use tokio_postgres::{CancelToken, error::SqlState};

use super::EngineError;

/// How often a server is asked to cancel: between two statements it does not hear it.
const AGAIN: Duration = Duration::from_millis(100);

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

const OPEN: u8 = 0;
const COMMITTING: u8 = 1;
const ABANDONED: u8 = 2;

/// Whether a step may still commit. A thread that works cannot be stopped: so that nobody says
/// "rolled back" of what it commits a moment later, this is asked before each commit.
#[derive(Clone, Debug, Default)]
pub struct Fate(Arc<AtomicU8>);

impl Fate {
    /// From now on nothing is committed. False where something is being committed just now.
    fn abandon(&self) -> bool {
        let was = self.0.compare_exchange(OPEN, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
        matches!(was, Ok(_) | Err(ABANDONED))
    }

    /// Refuses where the step is abandoned.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        match self.0.load(Ordering::Acquire) {
            ABANDONED => Err(EngineError::Abandoned),
            _ => Ok(()),
        }
    }

    /// Runs what ends with a commit, given what is to be asked right before it.
    pub(super) fn commits<R>(
        &self,
        work: impl FnOnce(&dyn Fn() -> Result<(), EngineError>) -> R,
    ) -> R {
        let swap =
            |from, to| self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        let result = work(&|| swap(OPEN, COMMITTING).map(drop).map_err(|_| EngineError::Abandoned));
        // Fails where it did not come to the commit.
        let _ = swap(COMMITTING, OPEN);
        result
    }
}

/// Ends the step in hand of a session from outside.
pub enum Stopper {
    /// The server cancels the statement that runs, and with it the transaction.
    Postgres(Arc<Postgres>, CancelToken),
    /// The thread that works is left alone; it finds out before it commits.
    Sqlite,
}

impl Stopper {
    /// Stops a run: [`EngineError::Abandoned`] where nothing more of it is kept, and its own
    /// result where it was faster.
    pub async fn stop(
        &self,
        fate: &Fate,
        run: impl Future<Output = Result<(), EngineError>>,
    ) -> Result<(), EngineError> {
        let mut run = pin!(run);
        let stopped = async {
            loop {
                let abandoned = fate.abandon();
                match self {
                    Self::Postgres(server, token) => {
                        let cancelled = server.cancel(token);
                        // Asked again at once where it could not be asked.
                        let _ = tokio::time::timeout(PATIENCE, cancelled).await;
                    }
                    Self::Sqlite if abandoned => return Err(EngineError::Abandoned),
                    Self::Sqlite => {}
                }
                tokio::select! {
                    biased;
                    result = &mut run => return result,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        };
        match tokio::time::timeout(PATIENCE, stopped).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(EngineError::LockLost)) => Err(EngineError::LockLost),
            // Unless the server said so, nobody knows what it did.
            Ok(Err(EngineError::Unreachable(why)))
                if !why.contains(SqlState::QUERY_CANCELED.code()) =>
            {
                Err(EngineError::Unreachable(why))
            }
            Ok(Err(_)) => Err(EngineError::Abandoned),
            Err(_) => Err(EngineError::Unreachable("it does not answer a cancel".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_abandoned_commits_nothing_and_what_commits_is_not_abandoned() {
        let fate = Fate::default();
        fate.commits(|seal| {
            seal().unwrap();
            assert!(!fate.abandon());
        });
        fate.check().unwrap();
        fate.commits(|_| {});
        fate.commits(|seal| {
            assert!(fate.abandon());
            seal().unwrap_err();
        });
        fate.check().unwrap_err();
        assert!(fate.abandon());
    }
}
