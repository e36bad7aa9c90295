//! Which revisions would run, in which order, with which text, and who could not
//! run on what they leave: the same for a Plan and for the operation that follows it.

use api::schema::v1::{Dependent, SchemaState, Status};
use database::Connection;
use revisions::Revision;

use crate::{
    dependents::Threat, engine::Direction, error::OperationError, history::History, ledger,
    observer::Observer, target::Target,
};

/// The revisions between here and a target, as they would run; none where it is reached.
///
/// # Errors
/// The target leads nowhere, or the state of the schema forbids to go there.
pub async fn steps(
    observer: &Observer,
    direction: Direction,
    target: &Target,
    history: &History,
    connection: &mut Connection,
) -> Result<Vec<Revision>, OperationError> {
    if let Some(at) = &history.half_done
        && at.direction != direction.as_str()
    {
        return Err(OperationError::HalfDone(crate::state::half_done(at)));
    }
    let line = observer.line();
    match direction {
        Direction::Up => {
            let revisions = line.upgrade(target, &history.applied)?;
            let revisions: Vec<Revision> = revisions.into_iter().cloned().collect();
            let state = observer.state(connection, history).await?;
            unblocked(&state)?;
            Ok(revisions)
        }
        Direction::Down => {
            let mut revisions = Vec::new();
            for id in line.downgrade(target, &history.applied)? {
                revisions.push(applied_text(observer, history, connection, &id).await?);
            }
            Ok(revisions)
        }
    }
}

/// What each step would take from whom.
pub fn threats(
    direction: Direction,
    history: &History,
    revisions: &[Revision],
) -> Vec<Option<Threat>> {
    let threat = |revision: &Revision| match direction {
        Direction::Up => {
            revision.compatible_from.clone().map(|from| Threat::CompatibleFrom(from.into()))
        }
        Direction::Down => {
            let stays = history.applied.iter().rev().find(|id| id.as_str() < revision.id.as_ref());
            Some(Threat::Below(stays.cloned().unwrap_or_default()))
        }
    };
    revisions.iter().map(threat).collect()
}

/// The live dependents that could not run on what is left.
pub fn broken(threats: &[Option<Threat>], history: &History) -> Vec<Dependent> {
    let breaks = |dependent: &&Dependent| threats.iter().flatten().any(|t| t.breaks(dependent));
    history.dependents.iter().filter(breaks).cloned().collect()
}

fn unblocked(state: &SchemaState) -> Result<(), OperationError> {
    let list = |revisions: &[String]| revisions.join(", ");
    if !state.altered.is_empty() {
        return Err(OperationError::Altered(list(&state.altered)));
    }
    if !state.unknown.is_empty() {
        return Err(OperationError::Unknown(list(&state.unknown)));
    }
    if state.status() == Status::Unmanaged {
        return Err(OperationError::Unmanaged(state.message.clone()));
    }
    if !state.out_of_order.is_empty() {
        return Err(OperationError::OutOfOrder {
            revisions: list(&state.out_of_order),
            current: state.revision.clone(),
        });
    }
    Ok(())
}

/// The text that was applied takes the revision back: the ledger's, which has it also where this
/// build never held the revision; else this build's.
async fn applied_text(
    observer: &Observer,
    history: &History,
    connection: &mut Connection,
    id: &str,
) -> Result<Revision, OperationError> {
    if history.applied_by(id).is_some()
        && let Some(step) = ledger::applied_text(connection, id).await?
    {
        return Ok(step);
    }
    let held = observer.line().get(id);
    held.cloned().ok_or_else(|| OperationError::NoText(id.into()))
}
