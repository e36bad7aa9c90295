//! ListRevisions and ListOperations, in pages.

use std::collections::BTreeSet;

use api::schema::v1::{
    ListOperationsRequest, ListOperationsResponse, ListRevisionsRequest, ListRevisionsResponse,
    Revision,
};
use revisions::RevisionSet;
use wire::{Problem, convert::timestamp, page};

use super::problem::logged;
use crate::{observer::Observer, store::History};

/// One page of the revisions that are held or were ever applied, oldest first.
///
/// # Errors
/// The request is invalid, or the database cannot be read.
pub async fn revisions(
    observer: &Observer,
    request: &ListRevisionsRequest,
) -> Result<ListRevisionsResponse, Problem> {
    let size = page::size(request.page_size)?;
    let after: String = page::read(&request.page_token, "revisions")?.unwrap_or_default();
    let history = observer.history().await.map_err(logged)?;
    let held = observer.revisions();
    let known: BTreeSet<&str> = held
        .iter()
        .map(|revision| revision.id.as_ref())
        .chain(history.applied.iter().map(String::as_str))
        .chain(history.steps.keys().map(String::as_str))
        .collect();
    let mut rest = known.into_iter().filter(|id| *id > after.as_str());
    let revisions: Vec<Revision> =
        rest.by_ref().take(size).map(|id| revision(id, held, &history)).collect();
    let next_page_token = match (rest.next(), revisions.last()) {
        (Some(_), Some(last)) => page::token(&last.revision, "revisions"),
        _ => String::new(),
    };
    Ok(ListRevisionsResponse { revisions, next_page_token })
}

fn revision(id: &str, held: &RevisionSet, history: &History) -> Revision {
    let held = held.get(id);
    let applied_by = history.applied_by(id);
    let checksum = held.map(revisions::Revision::checksum).unwrap_or_default();
    let last = history.steps.get(id);
    let applied = history.applied.contains(id);
    Revision {
        revision: id.into(),
        description: held
            .map(|revision| revision.description.to_string())
            .or(last.map(|step| step.description.clone()))
            .unwrap_or_default(),
        applied,
        // Of a stamped revision, the time of the stamp: when it ran is unknown.
        applied_at: last.filter(|_| applied).map(|step| timestamp(step.committed_at.utc())),
        altered: held.is_some() && applied_by.is_some_and(|step| step.checksum != checksum),
        checksum,
    }
}

/// One page of operations, newest first.
///
/// # Errors
/// The request is invalid, or the database cannot be read.
pub async fn operations(
    observer: &Observer,
    request: &ListOperationsRequest,
) -> Result<ListOperationsResponse, Problem> {
    let size = page::size(request.page_size)?;
    let before = page::read(&request.page_token, "operations")?;
    let mut operations = observer.operations(before, size + 1).await.map_err(logged)?;
    let more = operations.len() > size;
    operations.truncate(size);
    let next_page_token = match operations.last() {
        Some(last) if more => page::token(&last.id, "operations"),
        _ => String::new(),
    };
    Ok(ListOperationsResponse { operations, next_page_token })
}
