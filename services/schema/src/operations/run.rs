//! One Upgrade or Downgrade, from its lock to its recorded outcome.

use std::time::Duration;

use api::schema::v1::{Event, SchemaState, event::Kind};
use database::Connection;
use revisions::{Direction, Revision};
use tokio::time::Instant;

use super::{
    OperationError, Operations, Request,
    events::{Events, count},
    lock::{Locked, acquire_lock, not_begun, pause_or_give_up},
    permission::check_permission,
    steps::StepRunner,
};
use crate::{
    plan,
    store::{self, History, Operation, dependents::REGISTRATION_PERIOD},
};

pub(super) async fn run(
    operations: &Operations,
    request: &Request,
    wait: Duration,
    events: &Events,
) -> Result<(), OperationError> {
    let deadline = Instant::now() + wait;
    if operations.shutdown.is_cancelled() {
        return Err(not_begun());
    }
    let mut connection = operations.observer.connection().await?;
    let before = History::read(&mut connection, operations.observer.revisions()).await?;
    if let Some(state) = nothing_to_do(operations, request, &before, &mut connection).await? {
        send_finished(events, state);
        return Ok(());
    }
    drop(connection);
    let Locked { mut session, mut connection, history } =
        acquire_lock(operations, deadline).await?;
    // Another server may have done the work meanwhile, so the steps are those of the new history.
    let revisions = steps(operations, request, &history, &mut connection).await?;
    if revisions.is_empty() {
        check_permission(operations, request, &history, &[], &[], &mut connection).await?;
        let state = operations.observer.state(&mut connection, &history).await?;
        send_finished(events, state);
        return Ok(());
    }
    let changes = plan::breaking_changes(request.direction, &history, &revisions);
    let broken = plan::broken_names(&changes, &history);
    check_permission(operations, request, &history, &revisions, &broken, &mut connection).await?;
    let operation = new_operation(request, &history, &revisions);
    while let Err(error) =
        store::operations::begin_forced(&mut connection, &operation, &broken).await
    {
        pause_or_give_up(operations, error.into(), deadline).await?;
    }
    drop(connection);
    operations.observer.notify_changed();
    let steps_total = count(revisions.len());
    events.send(Kind::Started, Event { steps_total, ..Event::default() });
    tracing::info!(
        id = operation.id,
        kind = operation.kind.as_str(),
        from = operation.from_revision,
        to = operation.to_revision,
        actor = operation.actor,
        "operation started"
    );
    log_forced(&operation, &broken);
    if before.last_operation.is_none() && changes.iter().any(Option::is_some) {
        // Until now there was no table to register in. Each step checks again.
        tokio::time::sleep(REGISTRATION_PERIOD).await;
    }

    let runner =
        StepRunner { operations, request, events, operation: &operation, deadline, steps_total };
    let result = runner.run(&mut *session, revisions.into_iter().zip(changes)).await;
    // The outcome is recorded before the lock is free, so the next holder never finds it running.
    runner.finish(session.is_lost(), &result).await;
    drop(session);
    operations.observer.notify_changed();
    let state = result.and(operations.observer.current().await.map_err(Into::into))?;
    operations.observer.set_start_failure(None);
    send_finished(events, state);
    Ok(())
}

/// Logs the dependents that an operation is forced past, if any.
pub(super) fn log_forced(operation: &Operation, dependents: &[String]) {
    if !dependents.is_empty() {
        let (id, actor) = (&operation.id, &operation.actor);
        tracing::warn!(
            id,
            actor,
            dependents = dependents.join(", "),
            "running although live dependents would break (force)"
        );
    }
}

fn send_finished(events: &Events, state: SchemaState) {
    events.send(Kind::Finished, Event { state: Some(state), fraction: 1.0, ..Event::default() });
}

/// The state, where nothing runs and the target is reached. To say so needs neither the lock nor a
/// role that may write.
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
    check_permission(operations, request, history, &[], &[], connection).await?;
    Ok(Some(state))
}

/// The steps of a request on this history, whose current revision must be the expected one.
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
    Ok(plan::steps(&operations.observer, direction, target, history, connection).await?)
}

fn new_operation(request: &Request, history: &History, revisions: &[Revision]) -> Operation {
    let last = revisions.last().map_or("", |revision| revision.id.as_ref());
    let to = match request.direction {
        Direction::Up => last,
        // The newest that stays.
        Direction::Down => {
            let stays = history.applied.iter().rev().find(|id| id.as_str() < last);
            stays.map_or("", String::as_str)
        }
    };
    Operation::new(request.direction.into(), history.current(), to, &request.actor)
}
