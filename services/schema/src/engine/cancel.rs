//! Cancelling the step in progress, for a server that ends.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use database::Postgres;
use tokio_postgres::CancelToken;

use super::{CommitGuard, EngineError};

/// How often a server is asked to cancel: a request that arrives between two statements has no effect.
const CANCEL_INTERVAL: Duration = Duration::from_millis(100);

/// How long the server may take to confirm.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Cancels the step in progress of a session.
pub enum StepCanceller {
    /// The server cancels the running statement, and with it the transaction.
    Server(Arc<Postgres>, CancelToken),
    /// The working thread goes on without a caller and refuses to commit.
    Thread,
}

impl StepCanceller {
    /// Cancels a run. [`EngineError::Cancelled`] where nothing more of it is kept, and its own
    /// result where it ended first.
    pub async fn cancel(
        &self,
        commit_guard: &CommitGuard,
        run: impl Future<Output = Result<(), EngineError>>,
    ) -> Result<(), EngineError> {
        let mut run = pin!(run);
        let cancelled = async {
            loop {
                let is_cancelled = commit_guard.cancel();
                match self {
                    Self::Server(server, token) => {
                        let request = server.cancel(token);
                        // A request that fails or hangs is followed by the next one.
                        let _ = tokio::time::timeout(CANCEL_TIMEOUT, request).await;
                    }
                    Self::Thread if is_cancelled => return Err(EngineError::Cancelled),
                    Self::Thread => {}
                }
                tokio::select! {
                    biased;
                    result = &mut run => return result,
                    () = tokio::time::sleep(CANCEL_INTERVAL) => {}
                }
            }
        };
        match tokio::time::timeout(CANCEL_TIMEOUT, cancelled).await {
            Ok(Ok(())) => Ok(()),
            // Whether the server committed is unknown.
            Ok(Err(error @ (EngineError::LockLost | EngineError::Unreachable(_)))) => Err(error),
            Ok(Err(_)) => Err(EngineError::Cancelled),
            Err(_) => Err(EngineError::Unreachable("no response to a cancel request".into())),
        }
    }
}
