//! The lists, in pages: ListRevisions and ListOperations.

use std::collections::BTreeSet;

use api::schema::v1::{
    ListOperationsRequest, ListOperationsResponse, ListRevisionsRequest, ListRevisionsResponse,
    Revision,
};
use wire::{convert::timestamp, page};

use crate::{history::History, line::Line, observer::Observer};
use tonic::Status;

/// One page of what is held and what was ever applied, oldest first.
///
/// # Errors
/// The page is asked for wrongly, or the database cannot be read.
pub async fn revisions(
    observer: &Observer,
    request: &ListRevisionsRequest,
) -> Result<ListRevisionsResponse, Status> {
    let size = page::size(request.page_size)?;
    let after: String = page::read(&request.page_token, "revisions")?.unwrap_or_default();
    let history = observer.history().await?;
    let line = observer.line();
    let known: BTreeSet<&str> = line
        .iter()
        .map(|revision| revision.id.as_ref())
        .chain(history.applied.iter().map(String::as_str))
        .chain(history.steps.keys().map(String::as_str))
        .collect();
    let mut rest = known.into_iter().filter(|id| *id > after.as_str());
    let revisions: Vec<Revision> =
        rest.by_ref().take(size).map(|id| revision(id, line, &history)).collect();
    let next_page_token = match (rest.next(), revisions.last()) {
        (Some(_), Some(last)) => page::token(&last.revision, "revisions"),
        _ => String::new(),
    };
    Ok(ListRevisionsResponse { revisions, next_page_token })
}

fn revision(id: &str, line: &Line, history: &History) -> Revision {
    let held = line.get(id);
    let ran = history.applied_by(id);
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
        // A stamped revision's is when it was stamped: nobody knows when it ran.
        applied_at: last.filter(|_| applied).map(|step| timestamp(step.committed_at.utc())),
        altered: held.is_some() && ran.is_some_and(|step| step.checksum != checksum),
        checksum,
    }
}

/// One page of every operation, newest first.
///
/// # Errors
/// The page is asked for wrongly, or the database cannot be read.
pub async fn operations(
    observer: &Observer,
    request: &ListOperationsRequest,
) -> Result<ListOperationsResponse, Status> {
    let size = page::size(request.page_size)?;
    let before = page::read(&request.page_token, "operations")?;
    let mut operations = observer.operations(before, size + 1).await?;
    let more = operations.len() > size;
    operations.truncate(size);
    let next_page_token = match operations.last() {
        Some(last) if more => page::token(&last.id, "operations"),
        _ => String::new(),
    };
    Ok(ListOperationsResponse { operations, next_page_token })
}
