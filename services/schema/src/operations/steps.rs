//! The steps of an operation that holds the migration lock: each is reported and retried until it is
//! committed. Then the outcome is recorded.

use std::{pin::pin, time::Duration};

use api::schema::v1::{Event, event::Kind};
use revisions::Revision;
use tokio::time::Instant;

use super::{
    OperationError, Operations, Request,
    events::{Events, count},
    lock::pauses,
};
use crate::{
    engine::{CommitGuard, EngineError, ReportProgress, Session, Step},
    store::{self, BreakingChange, History, Operation, Outcome},
};

/// The pauses before a step is retried that could not get a lock.
const MIN_RETRY_PAUSE: Duration = Duration::from_millis(100);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Runs the steps of an operation that is in the ledger.
pub(super) struct StepRunner<'a> {
    pub operations: &'a Operations,
    pub request: &'a Request,
    pub events: &'a Events,
    pub operation: &'a Operation,
    pub deadline: Instant,
    pub steps_total: u32,
}

impl StepRunner<'_> {
    /// Runs every step, up to one that fails or that a shutdown leaves no time for.
    pub async fn run(
        &self,
        session: &mut dyn Session,
        steps: impl Iterator<Item = (Revision, Option<BreakingChange>)>,
    ) -> Result<(), OperationError> {
        let mut last: Option<String> = None;
        for (index, (revision, breaking)) in steps.enumerate() {
            if self.operations.shutdown.is_cancelled() {
                let end = last.map_or("no step was started".into(), |last| {
                    format!("revision {last} was finished")
                });
                return Err(OperationError::Shutdown(format!("{end}; {}", self.progress(index))));
            }
            let event = Event {
                revision: revision.id.to_string(),
                description: revision.description.to_string(),
                step: count(index + 1),
                steps_total: self.steps_total,
                fraction: f64::from(count(index)) / f64::from(self.steps_total),
                ..Event::default()
            };
            self.events.send(Kind::StepStarted, event.clone());
            last = Some(event.revision.clone());
            self.step(session, revision, breaking, &event).await.map_err(|error| match error {
                OperationError::Shutdown(end) => {
                    OperationError::Shutdown(format!("{end}; {}", self.progress(index)))
                }
                error => error,
            })?;
            self.operations.observer.notify_changed();
            let fraction = f64::from(count(index + 1)) / f64::from(self.steps_total);
            self.events.send(Kind::StepFinished, Event { fraction, ..event });
        }
        Ok(())
    }

    fn progress(&self, done: usize) -> String {
        format!("{done} of {} steps are done and kept", self.steps_total)
    }

    /// Runs one step, and retries it where it could not get a lock: each attempt is a whole
    /// transaction.
    async fn step(
        &self,
        session: &mut dyn Session,
        revision: Revision,
        breaking: Option<BreakingChange>,
        event: &Event,
    ) -> Result<(), OperationError> {
        let step = Step {
            operation_id: self.operation.id.clone(),
            revision,
            direction: self.request.direction,
            lock_timeout: self.request.lock_timeout,
            breaking,
            force: self.request.force,
            commit_guard: CommitGuard::default(),
        };
        let report = |fraction: f64, message: String| {
            let fraction = event.fraction + fraction / f64::from(self.steps_total);
            self.events.send(Kind::StepProgress, Event { fraction, message, ..event.clone() });
        };
        let (revision, direction) = (&step.revision.id, step.direction.as_str());
        let mut pauses = pauses(MIN_RETRY_PAUSE, MAX_RETRY_PAUSE);
        loop {
            let begun = Instant::now();
            let pause = pauses.next().unwrap_or(MAX_RETRY_PAUSE);
            match self.attempt(session, &step, &report).await {
                Ok(()) => {
                    let duration = begun.elapsed();
                    self.operations.counts.step(step.direction, duration);
                    tracing::info!(
                        %revision,
                        direction,
                        duration_ms = duration.as_millis(),
                        "step committed"
                    );
                    if self.operations.shutdown.is_cancelled() {
                        tracing::info!(%revision, direction, "finished the step in progress");
                    }
                    return Ok(());
                }
                // A shutdown leaves no time to wait for a lock.
                Err(EngineError::Cancelled | EngineError::Contended(_))
                    if self.operations.shutdown.is_cancelled() =>
                {
                    return Err(OperationError::in_step(&step, EngineError::Cancelled));
                }
                Err(EngineError::Contended(refusal)) if Instant::now() + pause < self.deadline => {
                    tracing::info!(%revision, %refusal, retry_in = ?pause, "step rolled back");
                    let message = format!("{refusal}; retry in {pause:.1?}");
                    self.events.send(Kind::StepRetried, Event { message, ..event.clone() });
                    // After a shutdown the next attempt is the last.
                    let shutdown = self.operations.shutdown.cancelled();
                    let _ = tokio::time::timeout(pause, shutdown).await;
                }
                Err(error) => return Err(OperationError::in_step(&step, error)),
            }
        }
    }

    /// One attempt, which a shutdown gives the step grace and then cancels.
    async fn attempt(
        &self,
        session: &mut dyn Session,
        step: &Step,
        report: ReportProgress<'_>,
    ) -> Result<(), EngineError> {
        let canceller = session.canceller();
        let mut run = pin!(session.run(step, report));
        let grace_is_over = async {
            self.operations.shutdown.cancelled().await;
            tokio::time::sleep(self.operations.step_grace).await;
        };
        tokio::select! {
            biased;
            result = &mut run => result,
            () = grace_is_over => canceller.cancel(&step.commit_guard, run).await,
        }
    }

    /// Records the outcome. Without a database, or with a lost session, the next server finds the
    /// operation interrupted.
    pub async fn finish(&self, is_session_lost: bool, result: &Result<(), OperationError>) {
        let id = &self.operation.id;
        match (result, is_session_lost) {
            // The thread that was left to itself holds SQLite's lock until the process ends.
            (Err(OperationError::Shutdown(_)), true) => {
                tracing::warn!(
                    id,
                    "could not record the outcome; the next server records the operation as interrupted"
                );
            }
            _ => {
                if let Err(error) = self.record_outcome(result).await {
                    tracing::error!(?error, id, "cannot record the outcome of the operation");
                }
            }
        }
        let outcome = outcome(result);
        self.operations.counts.operation(self.operation.kind, outcome);
        tracing::info!(id, outcome = outcome.as_str(), "operation ended");
    }

    async fn record_outcome(
        &self,
        result: &Result<(), OperationError>,
    ) -> Result<(), OperationError> {
        let mut connection = self.operations.observer.connection().await?;
        let revisions = self.operations.observer.revisions();
        let history = History::read(&mut connection, revisions).await?;
        let error = result.as_ref().err().map(ToString::to_string);
        let (id, outcome) = (&self.operation.id, outcome(result));
        let revision = history.current();
        store::operations::finish(&mut connection, id, outcome, revision, error).await?;
        Ok(())
    }
}

const fn outcome(result: &Result<(), OperationError>) -> Outcome {
    if result.is_ok() { Outcome::Succeeded } else { Outcome::Failed }
}
