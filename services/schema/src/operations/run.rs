//! One run, from the lock to the last step.

use std::time::Duration;

use api::schema::v1::{Event, SchemaState, event::Kind};
use database::Connection;
use rand::RngExt as _;
use revisions::Revision;
use tokio::time::Instant;

use super::{Events, Operations, Request, stamp, work::Work};
use crate::{
    dependents,
    engine::{Direction, Session},
    error::OperationError,
    history::History,
    ledger, plan,
};

/// The shortest and the longest pause between two tries for a lock.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(200)];

pub(super) async fn run(
    operations: &Operations,
    request: &Request,
    wait: Duration,
    events: &Events,
) -> Result<(), OperationError> {
    let deadline = Instant::now() + wait;
    if operations.stopping.is_cancelled() {
        return Err(not_begun());
    }
    let mut connection = operations.observer.connection().await?;
    let before = History::read(&mut connection, operations.observer.line()).await?;
    if let Some(state) = nothing_to_do(operations, request, &before, &mut connection).await? {
        finished(events, state);
        return Ok(());
    }
    drop(connection);
    // What others did while this one waited counts: the state is read anew.
    let (mut session, mut connection, history) = hold(operations, deadline).await?;
    let revisions = steps(operations, request, &history, &mut connection).await?;
    if revisions.is_empty() {
        plan::permit(&operations.observer, request, &history, &[], &mut connection).await?;
        let state = operations.observer.state(&mut connection, &history).await?;
        finished(events, state);
        return Ok(());
    }
    let threats = plan::threats(request.direction, &history, &revisions);
    let broken: Vec<String> =
        plan::broken(&threats, &history).iter().map(dependents::name).collect();
    if !broken.is_empty() && !request.force {
        return Err(OperationError::Dependents(broken.join(", ")));
    }
    plan::permit(&operations.observer, request, &history, &revisions, &mut connection).await?;
    let operation = begin(request, &history, &revisions);
    while let Err(error) = ledger::begin_forced(&mut connection, &operation, &broken).await {
        pause_or_give_up(operations, error.into(), deadline).await?;
    }
    drop(connection);
    operations.observer.changed();
    let steps_total = count(revisions.len());
    events.tell(Kind::Started, Event { steps_total, ..Event::default() });
    tracing::info!(
        id = operation.id,
        kind = operation.kind,
        from = operation.from_revision,
        to = operation.to_revision,
        actor = operation.actor,
        "operation started"
    );
    warn_of_force(&operation, &broken);
    if before.last_operation.is_none() && threats.iter().any(Option::is_some) {
        // There was no table to register in. Each step looks again.
        tokio::time::sleep(dependents::GATHERING).await;
    }

    let work = Work { operations, request, events, operation: &operation, deadline, steps_total };
    let result = work.steps(&mut session, revisions.into_iter().zip(threats)).await;
    // The ledger has the end before the lock is free: the next one never finds it running.
    work.end(session.is_lost(), &result).await;
    drop(session);
    operations.observer.changed();
    let state = result.and(operations.observer.current().await.map_err(Into::into))?;
    operations.observer.set_start_failure(None);
    finished(events, state);
    Ok(())
}

/// Logs whom an operation goes on past by force, if anybody.
pub(super) fn warn_of_force(operation: &ledger::Operation, past: &[String]) {
    if !past.is_empty() {
        let (id, actor) = (&operation.id, &operation.actor);
        tracing::warn!(id, actor, dependents = past.join(", "), "forced past live dependents");
    }
}

fn finished(events: &Events, state: SchemaState) {
    events.tell(Kind::Finished, Event { state: Some(state), fraction: 1.0, ..Event::default() });
}

pub(super) fn count(steps: usize) -> u32 {
    u32::try_from(steps).unwrap_or(u32::MAX)
}

/// The state, where nothing runs and the target is where the schema is: no lock is needed to
/// say so, nor a role that may write.
async fn nothing_to_do(
    operations: &Operations,
    request: &Request,
    history: &History,
    connection: &mut Connection,
) -> Result<Option<SchemaState>, OperationError> {
    let state = operations.observer.state(connection, history).await?;
    if state.running.is_some() || state.last_failure.is_some() {
        return Ok(None);
    }
    let steps = steps(operations, request, history, connection).await?;
    if !steps.is_empty() {
        return Ok(None);
    }
    plan::permit(&operations.observer, request, history, &[], connection).await?;
    Ok(Some(state))
}

/// The lock, held, with the tables there, what the dead left behind put right, what Alembic left
/// behind taken over, and the history as it is now.
pub(super) async fn hold(
    operations: &Operations,
    deadline: Instant,
) -> Result<(Session, Connection, History), OperationError> {
    let mut session = lock(operations, deadline).await?;
    let mut connection = operations.observer.connection().await?;
    loop {
        match prepare(operations, &mut session, &mut connection).await {
            Ok(history) => return Ok((session, connection, history)),
            Err(error) => pause_or_give_up(operations, error, deadline).await?,
        }
    }
}

async fn prepare(
    operations: &Operations,
    session: &mut Session,
    connection: &mut Connection,
) -> Result<History, OperationError> {
    session.prepare().await?;
    let line = operations.observer.line();
    let history = History::read(connection, line).await?;
    let dead = history.last_operation.as_ref().filter(|last| last.outcome == "running");
    if let Some(dead) = dead {
        ledger::interrupt(connection).await?;
        operations.counts.operation(&dead.kind, "interrupted");
    }
    if history.from_alembic {
        stamp::take_over(connection, &history).await?;
    }
    let changed = dead.is_some() || history.from_alembic;
    Ok(if changed { History::read(connection, line).await? } else { history })
}

/// Pauses where the database is busy with another's write and there is time left: SQLite has one
/// lock for all.
async fn pause_or_give_up(
    operations: &Operations,
    error: OperationError,
    deadline: Instant,
) -> Result<(), OperationError> {
    let [_, pause] = PAUSES;
    match error {
        _ if operations.stopping.is_cancelled() => Err(not_begun()),
        OperationError::Contended { .. } if Instant::now() + pause < deadline => {
            tokio::time::sleep(jittered(pause)).await;
            Ok(())
        }
        error => Err(error),
    }
}

/// Takes the lock, or gives up at the deadline. Polled, with a pause that grows and jitters.
async fn lock(operations: &Operations, deadline: Instant) -> Result<Session, OperationError> {
    let [mut pause, longest] = PAUSES;
    loop {
        let session = operations.engine.try_session().await;
        if let Some(session) = session? {
            return Ok(session);
        }
        if Instant::now() + pause >= deadline {
            return Err(operations.busy().await);
        }
        let stopped = operations.stopping.cancelled();
        if tokio::time::timeout(jittered(pause), stopped).await.is_ok() {
            return Err(not_begun());
        }
        pause = (pause * 2).min(longest);
    }
}

fn not_begun() -> OperationError {
    OperationError::Stopping("the operation had not begun".into())
}

/// Between half of it and all of it.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// What would run, on this state: the request's conditions are checked here.
async fn steps(
    operations: &Operations,
    request: &Request,
    history: &History,
    connection: &mut Connection,
) -> Result<Vec<Revision>, OperationError> {
    if let Some(expected) = &request.expected_current
        && expected != history.current()
    {
        return Err(OperationError::Expected {
            expected: expected.clone(),
            actual: history.current().into(),
        });
    }
    let (direction, target) = (request.direction, &request.target);
    plan::steps(&operations.observer, direction, target, history, connection).await
}

fn begin(request: &Request, history: &History, revisions: &[Revision]) -> ledger::Operation {
    let last = revisions.last().map_or("", |revision| revision.id.as_ref());
    let (kind, to) = match request.direction {
        Direction::Up => ("upgrade", last),
        // The newest that stays.
        Direction::Down => {
            let stays = history.applied.iter().rev().find(|id| id.as_str() < last);
            ("downgrade", stays.map_or("", String::as_str))
        }
    };
    ledger::Operation::new(kind, history.current(), to, &request.actor)
}
