//! The view of the schema: what the gate last learned from the schema service, and when.

use std::{error::Error as _, iter};

use api::schema::v1::SchemaState;
use tonic::Status;

use crate::timestamped::Timestamped;

#[derive(Clone, Debug, Default)]
pub(crate) struct SchemaView {
    /// The last reported state, and when the schema service last answered.
    pub(crate) state: Option<Timestamped<SchemaState>>,
    /// Why the schema service does not answer now.
    pub(crate) call_error: Option<String>,
    /// The last state of the open Watch stream.
    pub(crate) watched: Option<SchemaState>,
    /// Why the last Watch stream ended.
    pub(crate) watch_error: Option<String>,
}

/// Each `record_` function returns true where a verdict may change by what it records.
impl SchemaView {
    pub(crate) fn record_answer(&mut self, state: SchemaState) -> bool {
        let was_silent = self.call_error.take().is_some();
        let (state, is_new) = match self.state.take() {
            Some(known) if is_outdated(&state, &known.value) => (known.value, false),
            Some(known) if verdict_inputs(&known.value) == verdict_inputs(&state) => {
                (known.value, false)
            }
            _ => (state, true),
        };
        self.state = Some(Timestamped::now(state));
        is_new || was_silent
    }

    pub(crate) fn record_call_error(&mut self, status: &Status) -> bool {
        self.call_error.replace(describe(status)).is_none()
    }

    pub(crate) fn record_watched(&mut self, state: SchemaState) -> bool {
        let is_same = self
            .watched
            .replace(state.clone())
            .is_some_and(|known| verdict_inputs(&known) == verdict_inputs(&state));
        self.record_answer(state) || !is_same
    }

    pub(crate) fn record_watch_end(&mut self) -> bool {
        self.watched.take().is_some()
    }

    pub(crate) fn record_watch_error(&mut self, status: &Status) -> bool {
        self.watch_error.replace(describe(status)).is_none()
    }

    /// Whether Watch has answered or failed; until then there is nothing to evaluate.
    pub(crate) fn is_watch_tried(&self) -> bool {
        self.watched.is_some() || self.watch_error.is_some()
    }
}

/// Replicas of the schema service may lag behind one another. The epoch of a database that was
/// restored from a backup falls too, but is observed later.
fn is_outdated(state: &SchemaState, known: &SchemaState) -> bool {
    let observed = |state: &SchemaState| state.observed_at.map(|at| (at.seconds, at.nanos));
    state.database_id == known.database_id
        && state.epoch < known.epoch
        && observed(state) <= observed(known)
}

/// The part of a state that a verdict or its message depends on.
fn verdict_inputs(state: &SchemaState) -> impl PartialEq {
    (
        (&state.revision, &state.head, state.at_head, state.status, state.epoch),
        (&state.pending, &state.out_of_order, &state.compatible_from),
        (&state.database_id, &state.message),
    )
}

/// A status with its root cause.
fn describe(status: &Status) -> String {
    let text = format!("{:?}: {}", status.code(), status.message());
    let causes = iter::successors(status.source(), |&error| error.source());
    match causes.last().map(ToString::to_string) {
        Some(cause) if !text.ends_with(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use api::schema::v1::Dependent;

    use super::*;

    fn state(revision: &str, epoch: u64, observed: i64) -> SchemaState {
        let observed_at = Some(prost_types::Timestamp { seconds: observed, nanos: 0 });
        SchemaState { revision: revision.into(), epoch, observed_at, ..SchemaState::default() }
    }

    fn revision(view: &SchemaView) -> &str {
        &view.state.as_ref().unwrap().value.revision
    }

    #[test]
    fn an_older_state_from_a_lagging_replica_is_ignored() {
        let mut view = SchemaView::default();
        assert!(view.record_answer(state("0003", 3, 10)));
        assert!(!view.record_answer(state("0002", 2, 9)));
        assert_eq!(revision(&view), "0003");
    }

    #[test]
    fn the_state_of_a_restored_or_another_database_replaces_the_known_one() {
        let mut view = SchemaView::default();
        view.record_answer(state("0003", 3, 10));
        assert!(view.record_answer(state("0002", 2, 11)));
        assert_eq!(revision(&view), "0002");

        let other = SchemaState { database_id: "other".into(), ..state("0001", 1, 5) };
        assert!(view.record_answer(other));
        assert_eq!(revision(&view), "0001");
    }

    #[test]
    fn only_what_a_verdict_depends_on_is_a_change() {
        let mut view = SchemaView::default();
        view.record_answer(state("0003", 3, 10));
        let with_dependent =
            SchemaState { dependents: vec![Dependent::default()], ..state("0003", 3, 11) };
        assert!(!view.record_answer(with_dependent));

        assert!(view.record_call_error(&Status::unavailable("gone")));
        assert!(!view.record_call_error(&Status::unavailable("still gone")));
        assert!(view.record_answer(state("0003", 3, 12)));
        assert_eq!(view.call_error, None);
    }
}
