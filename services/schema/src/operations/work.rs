//! The work of an operation: its steps, each told and tried until it is committed, and the end in
//! the ledger.

use std::pin::pin;

use api::schema::v1::{Event, event::Kind};
use revisions::Revision;
use tokio::time::Instant;

use super::{
    Events, Operations, Request,
    run::{PAUSES, count, jittered},
};
use crate::{
    dependents::Threat,
    engine::{EngineError, Fate, Session, Step, Tell},
    error::OperationError,
    history::History,
    ledger,
};

/// An operation that holds the lock and is written down.
pub(super) struct Work<'a> {
    pub(super) operations: &'a Operations,
    pub(super) request: &'a Request,
    pub(super) events: &'a Events,
    pub(super) operation: &'a ledger::Operation,
    pub(super) deadline: Instant,
    pub(super) steps_total: u32,
}

impl Work<'_> {
    /// Every step, up to one that fails or that a server that ends has no time for.
    pub(super) async fn steps(
        &self,
        session: &mut Session,
        steps: impl Iterator<Item = (Revision, Option<Threat>)>,
    ) -> Result<(), OperationError> {
        let mut last = None;
        for (index, (revision, threat)) in steps.enumerate() {
            if self.operations.stopping.is_cancelled() {
                return Err(self.stopped(last.as_deref(), index));
            }
            let event = Event {
                revision: revision.id.to_string(),
                description: revision.description.to_string(),
                step: count(index + 1),
                steps_total: self.steps_total,
                fraction: f64::from(count(index)) / f64::from(self.steps_total),
                ..Event::default()
            };
            self.events.tell(Kind::StepStarted, event.clone());
            last = Some(event.revision.clone());
            self.step(session, revision, threat, &event).await.map_err(|error| match error {
                OperationError::Stopping(how) => {
                    OperationError::Stopping(format!("{how}; {}", self.done(index)))
                }
                error => error,
            })?;
            self.operations.observer.changed();
            let fraction = f64::from(count(index + 1)) / f64::from(self.steps_total);
            self.events.tell(Kind::StepFinished, Event { fraction, ..event });
        }
        Ok(())
    }

    /// The end between two steps.
    fn stopped(&self, last: Option<&str>, done: usize) -> OperationError {
        let how =
            last.map_or("no step had begun".into(), |last| format!("revision {last} was finished"));
        OperationError::Stopping(format!("{how}; {}", self.done(done)))
    }

    fn done(&self, done: usize) -> String {
        format!("{done} of {} steps are done and kept", self.steps_total)
    }

    /// One step, tried again where a lock could not be had: every try is a whole transaction.
    async fn step(
        &self,
        session: &mut Session,
        revision: Revision,
        threat: Option<Threat>,
        event: &Event,
    ) -> Result<(), OperationError> {
        let step = Step {
            operation_id: self.operation.id.clone(),
            revision,
            direction: self.request.direction,
            lock_timeout: self.request.lock_timeout,
            threat,
            force: self.request.force,
            fate: Fate::default(),
        };
        let [mut pause, longest] = PAUSES.map(|pause| pause * 10);
        let tell = |fraction: f64, message: String| {
            let steps = f64::from(self.steps_total);
            let fraction = event.fraction + fraction / steps;
            self.events.tell(Kind::StepProgress, Event { fraction, message, ..event.clone() });
        };
        loop {
            let begun = Instant::now();
            let (revision, direction) = (&step.revision.id, step.direction.as_str());
            match self.run(session, &step, &tell).await {
                Ok(()) => {
                    self.operations.counts.step(step.direction, begun.elapsed());
                    tracing::info!(%revision, direction, "step committed");
                    if self.operations.stopping.is_cancelled() {
                        tracing::info!(%revision, direction, "the step in hand was finished");
                    }
                    return Ok(());
                }
                // A lock that is not to be had now is not waited for.
                Err(EngineError::Abandoned | EngineError::Contended(_))
                    if self.operations.stopping.is_cancelled() =>
                {
                    let stopped = OperationError::in_step(&step, EngineError::Abandoned);
                    tracing::warn!(%revision, direction, "{stopped}");
                    return Err(stopped);
                }
                Err(EngineError::Contended(refusal)) if Instant::now() + pause < self.deadline => {
                    tracing::info!(revision = %step.revision.id, "rolled back, to be tried again: {refusal}");
                    let message = format!("{refusal}; tried again in {pause:?}");
                    self.events.tell(Kind::StepRetried, Event { message, ..event.clone() });
                    let stopped = self.operations.stopping.cancelled();
                    // The next try is the last then, and ends at once.
                    let _ = tokio::time::timeout(jittered(pause), stopped).await;
                    pause = (pause * 2).min(longest);
                }
                Err(error) => return Err(OperationError::in_step(&step, error)),
            }
        }
    }

    /// One try. A server that ends gives it some time, and stops it then.
    async fn run(
        &self,
        session: &mut Session,
        step: &Step,
        tell: Tell<'_>,
    ) -> Result<(), EngineError> {
        let stopper = session.stopper();
        let mut run = pin!(session.run(step, tell));
        tokio::select! {
            biased;
            result = &mut run => result,
            () = self.operations.overdue() => stopper.stop(&step.fate, run).await,
        }
    }

    /// Writes the end into the ledger. A database that is gone will read as interrupted, and so
    /// will one whose session was `lost`.
    pub(super) async fn end(&self, lost: bool, result: &Result<(), OperationError>) {
        let id = &self.operation.id;
        match (result, lost) {
            // A thread that was left alone holds SQLite's lock until the process is gone.
            (Err(OperationError::Stopping(_)), true) => {
                tracing::warn!(id, "the operation's end is left to the next server to record");
            }
            _ => {
                if let Err(error) = self.try_end(result).await {
                    tracing::error!(?error, id, "the operation's end is not recorded");
                }
            }
        }
        let outcome = if result.is_ok() { "succeeded" } else { "failed" };
        self.operations.counts.operation(&self.operation.kind, outcome);
        tracing::info!(id, outcome, "operation ended");
    }

    async fn try_end(&self, result: &Result<(), OperationError>) -> Result<(), OperationError> {
        let mut connection = self.operations.observer.connection().await?;
        let line = self.operations.observer.line();
        let history = History::read(&mut connection, line).await?;
        let error = result.as_ref().err().map(ToString::to_string);
        let outcome = if error.is_some() { "failed" } else { "succeeded" };
        ledger::end(&mut connection, &self.operation.id, outcome, history.current(), error).await?;
        Ok(())
    }
}
