//! The error that a closed gate answers with.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use api::{ERROR_DOMAIN, Reason, schema::v1::SchemaState};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::decide::Requirements;

/// Short, since a schema service pushes what opens a gate.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Every reason for which a gate is closed, in the order of their counts.
const REASONS: [Reason; 6] = [
    Reason::SchemaNotAtHead,
    Reason::SchemaOtherDatabase,
    Reason::SchemaModelMismatch,
    Reason::SchemaIncompatible,
    Reason::SchemaUnreachable,
    Reason::ShuttingDown,
];

/// Built once when the gate closes and cloned for each call.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) status: Status,
}

impl Refusal {
    /// `state` is the one that the refusal is about, where one is known.
    pub(crate) fn new(
        reason: Reason,
        message: impl Into<String>,
        requirements: &Requirements,
        state: Option<&SchemaState>,
    ) -> Self {
        let unknown = SchemaState::default();
        let state = state.unwrap_or(&unknown);
        let metadata = [
            ("current", &*state.revision),
            ("required", requirements.required()),
            ("head", &*state.head),
            ("status", state.status().as_str_name()),
        ];
        Self::with_metadata(reason, message, metadata)
    }

    pub(crate) fn shutting_down() -> Self {
        let message = "this server is shutting down; try another replica";
        Self::with_metadata(Reason::ShuttingDown, message, [])
    }

    fn with_metadata<const N: usize>(
        reason: Reason,
        message: impl Into<String>,
        metadata: [(&str, &str); N],
    ) -> Self {
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let mut details = ErrorDetails::with_error_info(reason.as_str(), ERROR_DOMAIN, metadata);
        details.set_retry_info(Some(RETRY_DELAY));
        let status = Status::with_error_details(Code::Unavailable, message, details);
        Self { reason, status }
    }

    pub(crate) fn message(&self) -> &str {
        self.status.message()
    }
}

/// Equal where a reader could not tell them apart.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        self.reason == other.reason && self.message() == other.message()
    }
}

/// The number of refused calls by reason.
#[derive(Debug, Default)]
pub(crate) struct RefusalCounts {
    counts: [AtomicU64; REASONS.len()],
}

impl RefusalCounts {
    pub(crate) fn increment(&self, reason: Reason) {
        let index = REASONS.iter().position(|counted| *counted == reason);
        if let Some(count) = index.and_then(|index| self.counts.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Reason, u64)> {
        REASONS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_count() {
        let counts = RefusalCounts::default();
        for (times, reason) in REASONS.into_iter().enumerate() {
            (0..times).for_each(|_| counts.increment(reason));
        }
        let counted: Vec<_> = counts.iter().collect();
        let expected: Vec<_> = REASONS.into_iter().zip(0..).collect();
        assert_eq!(counted, expected);
    }
}
