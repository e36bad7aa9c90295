//! What a refused call is told: a code, a reason for programs, words for people.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The `ErrorInfo.domain` of every refusal.
pub const DOMAIN: &str = "schemagate";

/// When a refused caller may try again: openings are pushed, so soon.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a gate is closed: the `ErrorInfo.reason` of the refusal.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// The schema is not at head, or lacks the revision that this build requires.
    NotAtHead,
    /// The schema service speaks of another database than this service is connected to.
    OtherDatabase,
    /// The service's own tables do not answer as its models need them.
    ModelMismatch,
    /// An applied revision broke this build: it is too old for the schema.
    Incompatible,
    /// What must be known to open cannot be learned: the schema service, or a proof, does not answer.
    Unreachable,
    /// The process is on its way out.
    ShuttingDown,
}

impl Reason {
    const ALL: [Self; 6] = [
        Self::NotAtHead,
        Self::OtherDatabase,
        Self::ModelMismatch,
        Self::Incompatible,
        Self::Unreachable,
        Self::ShuttingDown,
    ];

    /// The reason as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAtHead => "SCHEMA_NOT_AT_HEAD",
            Self::OtherDatabase => "SCHEMA_OTHER_DATABASE",
            Self::ModelMismatch => "SCHEMA_MODEL_MISMATCH",
            Self::Incompatible => "SCHEMA_INCOMPATIBLE",
            Self::Unreachable => "SCHEMA_UNREACHABLE",
            Self::ShuttingDown => "SHUTTING_DOWN",
        }
    }
}

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
        let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
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
    counts: [AtomicU64; Reason::ALL.len()],
}

impl Refusals {
    pub(crate) fn count(&self, reason: Reason) {
        // `ALL` is in the order of the enum, which a test holds it to.
        if let Some(count) = self.counts.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_count() {
        let refusals = Refusals::default();
        for (times, reason) in Reason::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| refusals.count(reason));
        }
        let counted: Vec<_> = refusals.all().collect();
        let wanted: Vec<_> = Reason::ALL.into_iter().zip(0..).collect();
        assert_eq!(counted, wanted);
    }
}
