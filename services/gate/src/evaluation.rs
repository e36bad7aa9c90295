//! One check of everything that opens a gate, in order, up to the first proof that fails.

use std::time::SystemTime;

use api::gate::v1::Proof;
use tokio::time::Instant;

use crate::{
    decide::{Verdict, decide},
    inner::Inner,
    message,
    refusal::Refusal,
    view::SchemaView,
};

/// The name of the proof that the schema service provides.
pub(crate) const SCHEMA_PROOF: &str = "schema";

pub(crate) struct Evaluation {
    /// Those that were checked.
    pub(crate) proofs: Vec<Proof>,
    /// None where the gate may be open.
    pub(crate) refusal: Option<Refusal>,
}

impl Evaluation {
    pub(crate) async fn run(gate: &Inner, view: &SchemaView) -> Self {
        let mut evaluation = Self { proofs: Vec::with_capacity(3), refusal: None };
        evaluation.refusal = evaluation.check_all(gate, view).await.err();
        evaluation
    }

    async fn check_all(&mut self, gate: &Inner, view: &SchemaView) -> Result<(), Refusal> {
        let was_open = gate.state.report().is_open();
        let state = match decide(view, &gate.requirements, was_open, Instant::now()) {
            Verdict::Open(state) => {
                let evidence = message::evidence(view, state, &gate.requirements);
                self.record_proof(SCHEMA_PROOF, true, evidence);
                state
            }
            Verdict::Closed(cause) => {
                let refusal = message::refusal(&cause, view, &gate.requirements, &gate.address);
                self.record_proof(SCHEMA_PROOF, false, refusal.message());
                return Err(refusal);
            }
        };
        for proof in gate.proofs.provided() {
            match gate.proofs.check(proof, state).await {
                Ok(evidence) => self.record_proof(proof.name(), true, evidence),
                Err(error) => {
                    self.record_proof(proof.name(), false, error.to_string());
                    if let Some((reason, message)) = proof.closing(&error, was_open) {
                        return Err(Refusal::new(reason, message, &gate.requirements, Some(state)));
                    }
                    tracing::warn!(
                        proof = proof.name(),
                        %error,
                        "proof cannot be checked; gate stays open"
                    );
                }
            }
        }
        Ok(())
    }

    fn record_proof(&mut self, name: &str, holds: bool, evidence: impl Into<String>) {
        let checked_at = Some(SystemTime::now().into());
        self.proofs.push(Proof { name: name.into(), holds, evidence: evidence.into(), checked_at });
    }
}
