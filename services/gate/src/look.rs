//! One look at everything that opens a gate, in order, up to the first proof that fails.

use std::time::SystemTime;

use api::{Reason, gate::v1::Proof, schema::v1::SchemaState};

use crate::{
    Inner, Mode,
    proof::{self, ProofError},
    refusal::Refusal,
    schema::Knowledge,
    state::Verdict,
};

/// A look in progress.
pub(crate) struct Look<'a> {
    gate: &'a Inner,
    /// What was seen so far.
    pub(crate) proofs: Vec<Proof>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(gate: &'a Inner) -> Self {
        Self { gate, proofs: Vec::with_capacity(3) }
    }

    pub(crate) async fn at(&mut self, known: &Knowledge) -> Verdict {
        let open = self.gate.state.report().is_open();
        match self.prove(known, open).await {
            Ok(()) => Verdict::Open,
            Err(refusal) => Verdict::Closed(refusal),
        }
    }

    async fn prove(&mut self, known: &Knowledge, open: bool) -> Result<(), Refusal> {
        let gate = self.gate;
        let schema = self.schema(known, open);
        self.note(
            "schema",
            schema.as_ref().map(|(_, evidence)| evidence).map_err(|why| why.message().to_owned()),
        );
        let (state, _) = schema?;
        if let Some(read) = &gate.proofs.database {
            let same = proof::attempt(read).await.and_then(|own| same_database(own, state));
            self.weigh("database", Reason::SchemaOtherDatabase, same, open, state)?;
        }
        if let Some(answer) = &gate.proofs.models {
            let answered = proof::attempt(answer).await;
            self.weigh("models", Reason::SchemaModelMismatch, answered, open, state)?;
        }
        Ok(())
    }

    /// The first proof: the state it rests on, and the evidence.
    fn schema<'k>(
        &self,
        known: &'k Knowledge,
        open: bool,
    ) -> Result<(&'k SchemaState, String), Refusal> {
        let gate = self.gate;
        let Some(state) = self.reliable(known, open) else {
            return Err(self.unreachable(known));
        };
        let head = gate.mode == Mode::Head && !open;
        let evidence = gate.needs.proven_by(state, head)?;
        if !open {
            // Only who is registered may open, and Watch says head only to who is: else the
            // schema could be changed behind this service's back.
            let watched = known.watched.as_ref().ok_or_else(|| self.unwatched(known))?;
            gate.needs.proven_by(watched, head)?;
        }
        Ok((state, evidence + &age_of(known)))
    }

    /// What the schema service said, where it may still be relied on.
    fn reliable<'k>(&self, known: &'k Knowledge, open: bool) -> Option<&'k SchemaState> {
        let fresh = known.heard.is_some_and(|heard| heard.age() <= self.gate.max_staleness);
        known.state.as_ref().filter(|_| known.away.is_none() || (open && fresh))
    }

    fn unreachable(&self, known: &Knowledge) -> Refusal {
        let why = known.away.as_deref().unwrap_or("it has not answered yet");
        let last = known.state.as_ref().map(|state| {
            format!("; when it last did, the schema was at {} of {}", state.revision, state.head)
        });
        let words = format!(
            "the schema service at {} does not answer ({why}){}: start it, or correct the address that this service has of it",
            self.gate.address,
            last.unwrap_or_default(),
        );
        self.refusal(Reason::SchemaUnreachable, words, known.state.as_ref())
    }

    fn unwatched(&self, known: &Knowledge) -> Refusal {
        let why = known.unwatched.as_deref().unwrap_or("it is being opened");
        let words = format!(
            "the schema service at {} answers, but not to Watch ({why}), which makes this service known to it",
            self.gate.address,
        );
        self.refusal(Reason::SchemaUnreachable, words, known.state.as_ref())
    }

    fn refusal(&self, reason: Reason, words: String, state: Option<&SchemaState>) -> Refusal {
        self.gate.needs.refusal(reason, words, state.unwrap_or(&SchemaState::default()))
    }

    /// Notes a proof of the host's; the refusal where it fails.
    fn weigh(
        &mut self,
        name: &str,
        reason: Reason,
        outcome: Result<String, ProofError>,
        open: bool,
        state: &SchemaState,
    ) -> Result<(), Refusal> {
        self.note(name, outcome.as_ref().map_err(ToString::to_string));
        match outcome {
            Ok(_) => Ok(()),
            Err(ProofError::Refuted(why)) => Err(self.refusal(reason, why, Some(state))),
            Err(ProofError::Untried(why)) if open => {
                tracing::warn!(
                    proof = name,
                    "a proof could not be tried; the gate stays open: {why}"
                );
                Ok(())
            }
            Err(ProofError::Untried(why)) => {
                let words = format!("the proof \"{name}\" could not be tried: {why}");
                Err(self.refusal(Reason::SchemaUnreachable, words, Some(state)))
            }
        }
    }

    fn note(&mut self, name: &str, outcome: Result<&String, String>) {
        let (holds, evidence) = match outcome {
            Ok(evidence) => (true, evidence.clone()),
            Err(why) => (false, why),
        };
        let checked_at = Some(SystemTime::now().into());
        self.proofs.push(Proof { name: name.into(), holds, evidence, checked_at });
    }
}

/// A tail for evidence that is no news.
fn age_of(known: &Knowledge) -> String {
    match (&known.away, known.heard) {
        (Some(why), Some(heard)) => {
            let age = heard.age().as_secs();
            format!(", said the schema service {age} s ago; it does not answer now ({why})")
        }
        _ => String::new(),
    }
}

fn same_database(own: String, state: &SchemaState) -> Result<String, ProofError> {
    if own == state.database_id {
        return Ok(format!("both read {own}"));
    }
    Err(ProofError::Refuted(format!(
        "the schema service speaks of database {}, and this service is connected to {own}: give both the same DATABASE_URL",
        state.database_id
    )))
}
