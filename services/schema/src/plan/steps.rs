//! Which revisions would run, in which order, with which text, and which dependents could not run on
//! the result: the same for a Plan and for the operation that follows it.

use api::schema::v1::{Dependent, SchemaState, Status};
use database::Connection;
use revisions::{Direction, Revision, Target};

use super::PlanError;
use crate::{
    observer::Observer,
    state,
    store::{BreakingChange, History, StepKind, dependents, steps},
};

/// The revisions between the current one and a target, as they would run; none where it is reached.
///
/// # Errors
/// The target does not exist, or the state of the schema forbids the operation.
pub async fn steps(
    observer: &Observer,
    direction: Direction,
    target: &Target,
    history: &History,
    connection: &mut Connection,
) -> Result<Vec<Revision>, PlanError> {
    if let Some(at) = &history.half_done
        && at.direction != StepKind::from(direction)
    {
        return Err(PlanError::HalfDone(state::half_done(at)));
    }
    let held = observer.revisions();
    match direction {
        Direction::Up => {
            let revisions = held.upgrade(target, &history.applied)?;
            let revisions: Vec<Revision> = revisions.into_iter().cloned().collect();
            let state = observer.state(connection, history).await?;
            check_upgradable(&state)?;
            Ok(revisions)
        }
        Direction::Down => {
            let mut revisions = Vec::new();
            for id in held.downgrade(target, &history.applied)? {
                revisions.push(applied_text(observer, history, connection, &id).await?);
            }
            Ok(revisions)
        }
    }
}

/// How each step could break dependents.
pub fn breaking_changes(
    direction: Direction,
    history: &History,
    revisions: &[Revision],
) -> Vec<Option<BreakingChange>> {
    let change = |revision: &Revision| match direction {
        Direction::Up => {
            let from = revision.compatible_from.clone();
            from.map(|from| BreakingChange::CompatibleFrom(from.into()))
        }
        Direction::Down => {
            let stays = history.applied.iter().rev().find(|id| id.as_str() < revision.id.as_ref());
            Some(BreakingChange::DowngradeTo(stays.cloned().unwrap_or_default()))
        }
    };
    revisions.iter().map(change).collect()
}

/// The live dependents that could not run on the result.
pub fn broken(changes: &[Option<BreakingChange>], history: &History) -> Vec<Dependent> {
    let is_broken = |live: &&Dependent| changes.iter().flatten().any(|change| change.breaks(live));
    history.dependents.iter().filter(is_broken).cloned().collect()
}

/// The names of those dependents.
pub fn broken_names(changes: &[Option<BreakingChange>], history: &History) -> Vec<String> {
    broken(changes, history).iter().map(dependents::display_name).collect()
}

fn check_upgradable(state: &SchemaState) -> Result<(), PlanError> {
    let list = |revisions: &[String]| revisions.join(", ");
    if !state.altered.is_empty() {
        return Err(PlanError::Altered(list(&state.altered)));
    }
    if !state.unknown.is_empty() {
        return Err(PlanError::Unknown(list(&state.unknown)));
    }
    if state.status() == Status::Unmanaged {
        return Err(PlanError::Unmanaged(state.message.clone()));
    }
    if !state.out_of_order.is_empty() {
        return Err(PlanError::OutOfOrder {
            revisions: list(&state.out_of_order),
            current: state.revision.clone(),
        });
    }
    Ok(())
}

/// A revision is reverted with the text that was applied: the ledger's, which has it also where this
/// build never held the revision; otherwise this build's.
async fn applied_text(
    observer: &Observer,
    history: &History,
    connection: &mut Connection,
    id: &str,
) -> Result<Revision, PlanError> {
    if history.applied_by(id).is_some()
        && let Some(step) = steps::applied_text(connection, id).await?
    {
        return Ok(step);
    }
    let held = observer.revisions().get(id);
    held.cloned().ok_or_else(|| PlanError::NoText(id.into()))
}
