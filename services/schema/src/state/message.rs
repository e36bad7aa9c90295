//! The message of a state: why the schema is not at head, and what to do.

use api::schema::v1::{SchemaState, Status, operation::Outcome};

use super::Snapshot;
use crate::{
    display::{kind_name, revision_name, running_operation},
    store::{Checkpoint, StepKind},
};

impl Snapshot<'_> {
    pub(super) fn message(&self, state: &SchemaState) -> String {
        let mut parts = vec![self.explanation(state)];
        if !state.at_head {
            let failure = state.last_failure.as_ref();
            // A start that began its operation is in the ledger too.
            let is_unrecorded = |start: &&str| {
                failure.is_none_or(|last| last.error.is_empty() || !start.contains(&last.error))
                    && self.finding.unmanaged.is_none()
            };
            if let Some(start) = self.start_failure.filter(is_unrecorded) {
                parts.push(format!("upgrade on start failed: {start}"));
            }
            if let Some(failure) = failure {
                parts.push(format!(
                    "last operation ({} to {}) {}: {}",
                    kind_name(failure.kind()),
                    revision_name(&failure.to_revision),
                    match failure.outcome() {
                        Outcome::Failed => "failed",
                        _ => "was interrupted",
                    },
                    failure.error,
                ));
            }
        }
        parts.retain(|part| !part.is_empty());
        parts.join("; ")
    }

    fn explanation(&self, state: &SchemaState) -> String {
        let list = |revisions: &[String]| revisions.join(", ");
        match state.status() {
            Status::AtHead | Status::Unspecified => String::new(),
            Status::Diverged => format!(
                "applied with another text than this build holds: {}; deploy the build that applied \
                 it, or accept the held text with \"schema repair\"",
                list(&state.altered)
            ),
            Status::Ahead => format!(
                "database has revisions that this build does not hold: {}; deploy a newer schema \
                 service, or run \"schema downgrade {}\"",
                list(&state.unknown),
                revision_name(&state.head)
            ),
            Status::Migrating => state.running.as_ref().map(running_operation).unwrap_or_default(),
            Status::Failed => self.history.half_done.as_ref().map(half_done).unwrap_or_default(),
            Status::Unmanaged => self.finding.unmanaged.clone().unwrap_or_default(),
            Status::Drifted => drifted(state),
            Status::Empty | Status::Behind if !state.out_of_order.is_empty() => format!(
                "pending although {} is applied: {}; give it a newer number, or run \"schema \
                 downgrade\" to a revision below it first",
                state.revision,
                list(&state.out_of_order),
            ),
            Status::Empty | Status::Behind => format!(
                "schema is at {} with pending revisions: {}; run \"schema upgrade\"",
                revision_name(&state.revision),
                list(&state.pending)
            ),
        }
    }
}

fn drifted(state: &SchemaState) -> String {
    let missing = state.drift.as_ref().map(|drift| drift.missing.join("; ")).unwrap_or_default();
    format!(
        "every revision is applied but the database lacks: {missing}; restore it and run \"schema \
         verify\", or stamp the revision that the database still matches"
    )
}

/// What to do about a half-done step.
pub fn half_done(at: &Checkpoint) -> String {
    let (done, command) = match at.direction {
        StepKind::Down => ("reverted", "downgrade"),
        _ => ("applied", "upgrade"),
    };
    format!(
        "revision {} is half {done}: {} of {} statements are committed; fix what stopped it, then \
         run \"schema {command}\" to continue",
        at.revision, at.done, at.total
    )
}
