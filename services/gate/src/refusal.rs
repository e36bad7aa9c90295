//! What a refused call is told: a code, a reason for programs, words for people.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use api::{ERROR_DOMAIN, Reason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// When a refused caller may try again: openings are pushed, so soon.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Every reason for which a gate is closed, in the order of their counts.
const REASONS: [Reason; 6] = [
    Reason::SchemaNotAtHead,
    Reason::SchemaOtherDatabase,
    Reason::SchemaModelMismatch,
    Reason::SchemaIncompatible,
    Reason::SchemaUnreachable,
    Reason::ShuttingDown,
];

/// A refusal, built once when the gate closes and cloned for each call that meets it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) status: Status,
}

impl Refusal {
    pub(crate) fn new<const N: usize>(
        reason: Reason,
        message: impl Into<String>,
        metadata: [(&str, &str); N],
    ) -> Self {
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let mut details = ErrorDetails::with_error_info(reason.as_str(), ERROR_DOMAIN, metadata);
        details.set_retry_info(Some(RETRY_AFTER));
        let status = Status::with_error_details(Code::Unavailable, message, details);
        Self { reason, status }
    }

    pub(crate) fn shutting_down() -> Self {
        let words = "this server is shutting down; another one answers";
        Self::new(Reason::ShuttingDown, words, [])
    }

    pub(crate) fn message(&self) -> &str {
        self.status.message()
    }
}

/// Two refusals are one where a reader could not tell them apart.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        self.reason == other.reason && self.message() == other.message()
    }
}

/// How many calls were refused, by reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: [AtomicU64; REASONS.len()],
}

impl Refusals {
    pub(crate) fn count(&self, reason: Reason) {
        let counted = REASONS.iter().position(|counted| *counted == reason);
        if let Some(count) = counted.and_then(|index| self.counts.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Reason, u64)> {
        REASONS.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_count() {
        let refusals = Refusals::default();
        for (times, reason) in REASONS.into_iter().enumerate() {
            (0..times).for_each(|_| refusals.count(reason));
        }
        let counted: Vec<_> = refusals.all().collect();
        let wanted: Vec<_> = REASONS.into_iter().zip(0..).collect();
        assert_eq!(counted, wanted);
    }
}
