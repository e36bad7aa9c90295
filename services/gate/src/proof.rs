//! The proofs that open a gate: "schema" from what the schema service says, "database" and
//! "models" from the host's own connection, tried in this order.

use std::{fmt, future::Future, time::Duration};

use api::{
    Reason,
    schema::v1::{SchemaState, Status},
};
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use crate::refusal::Refusal;

/// A proof on the host's own connection that takes longer is not made.
const PROVEN_WITHIN: Duration = Duration::from_secs(2);

/// Why a proof on the host's own connection does not hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProofError {
    /// It was tried, and is not so. Closes an open gate.
    #[error("{0}")]
    Refuted(String),
    /// It could not be tried, the database being away, say. Opens no gate, and closes none:
    /// calls that need the database fail by themselves.
    #[error("{0}")]
    Untried(String),
}

/// A proof of the host's: words that say what was seen, or why it does not hold.
type Prove = Box<dyn Fn() -> BoxFuture<'static, Result<String, ProofError>> + Send + Sync>;

/// The proofs that the host makes, where it hands them in.
#[derive(Default)]
pub(crate) struct HostProofs {
    pub(crate) database: Option<Prove>,
    pub(crate) models: Option<Prove>,
}

impl fmt::Debug for HostProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostProofs")
            .field("database", &self.database.is_some())
            .field("models", &self.models.is_some())
            .finish()
    }
}

pub(crate) fn boxed<F, Fut>(prove: F) -> Option<Prove>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<String, ProofError>> + Send + 'static,
{
    Some(Box::new(move || Box::pin(prove())))
}

pub(crate) async fn attempt(prove: &Prove) -> Result<String, ProofError> {
    timeout(PROVEN_WITHIN, prove()).await.unwrap_or_else(|_| {
        Err(ProofError::Untried(format!("no answer from the database within {PROVEN_WITHIN:?}")))
    })
}

/// What the build needs of the schema, and whom to ask for it.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    /// The revision that the schema must hold, by the gate's mode.
    pub(crate) requires: String,
    pub(crate) built_with: String,
    /// `grpcurl` up to the method, such as `grpcurl -plaintext 127.0.0.1:50051`.
    pub(crate) grpcurl: String,
}

impl Needs {
    /// The first proof. Head is needed to open; an open gate needs only that its revision is held,
    /// so that a newer schema service with revisions pending throws nobody out.
    pub(crate) fn proven_by(&self, state: &SchemaState, head: bool) -> Result<String, Refusal> {
        let at = or_base(&state.revision);
        let Self { requires, built_with, .. } = self;
        if !built_with.is_empty() && state.compatible_from > *built_with {
            let words = format!(
                "the schema is at {at}, and runs builds made for {} or newer; this one was built with {}: deploy a newer one",
                state.compatible_from,
                or_base(built_with),
            );
            return Err(self.refusal(Reason::SchemaIncompatible, words, state));
        }
        let holds = self.held_by(state);
        if !holds || (head && !state.at_head) {
            return Err(self.refusal(
                Reason::SchemaNotAtHead,
                self.way_out(state, head, holds),
                state,
            ));
        }
        let place = if state.at_head { "head" } else { state.status().as_str_name() };
        Ok(format!("the schema is at {at} ({place}) and holds {}", or_base(requires)))
    }

    /// Revisions are of one width: text order is their order.
    fn held_by(&self, state: &SchemaState) -> bool {
        let requires = &self.requires;
        let missing = [&state.pending, &state.out_of_order]
            .into_iter()
            .any(|revisions| revisions.contains(requires));
        state.revision >= *requires && !missing
    }

    fn way_out(&self, state: &SchemaState, needs_head: bool, holds: bool) -> String {
        let Self { requires, grpcurl, .. } = self;
        let at = or_base(&state.revision);
        let head = or_base(&state.head);
        let must = match (needs_head, holds) {
            (true, false) if head != requires => format!("at head ({head}) and hold {requires}"),
            (true, _) => format!("at head ({head})"),
            (false, _) => format!("at {requires} or newer"),
        };
        let upgrade = format!("{grpcurl} schema.v1.SchemaService/Upgrade");
        let mend = match state.status() {
            Status::AtHead => {
                format!("deploy a schema service that holds {requires}, then upgrade: {upgrade}")
            }
            Status::Empty | Status::Behind if state.out_of_order.is_empty() => {
                format!("upgrade it: {upgrade}")
            }
            Status::Migrating => {
                "an operation is running; calls pass as soon as it has ended well".into()
            }
            Status::Unspecified
            | Status::Empty
            | Status::Behind
            | Status::Diverged
            | Status::Ahead
            | Status::Failed
            | Status::Unmanaged
            | Status::Drifted => format!(
                "it is {}: {}; to see more: {grpcurl} schema.v1.SchemaService/Current",
                state.status().as_str_name(),
                or_else(&state.message, "the schema service does not say why"),
            ),
        };
        format!("the schema is at {at} and must be {must}; {mend}")
    }

    pub(crate) fn refusal(
        &self,
        reason: Reason,
        words: impl Into<String>,
        state: &SchemaState,
    ) -> Refusal {
        Refusal::new(
            reason,
            words,
            [
                ("current", &state.revision),
                ("required", &self.requires),
                ("head", &state.head),
                ("status", state.status().as_str_name()),
            ],
        )
    }
}

fn or_base(revision: &str) -> &str {
    or_else(revision, "base")
}

fn or_else<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}
