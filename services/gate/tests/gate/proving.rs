//! The proofs that the host provides.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use gate::{Builder, ProofError};

use crate::fake::{FakeSchema, GatedService, Served, gate_at, reason, state_at};

/// A proof with the result that a test sets, and a count of its checks.
#[derive(Clone)]
struct ScriptedProof {
    outcome: Arc<Mutex<Result<String, ProofError>>>,
    checks: Arc<AtomicUsize>,
}

impl ScriptedProof {
    fn new(outcome: Result<&str, ProofError>) -> Self {
        let outcome = Arc::new(Mutex::new(outcome.map(Into::into)));
        Self { outcome, checks: Arc::default() }
    }

    fn set(&self, outcome: Result<&str, ProofError>) {
        *self.outcome.lock().unwrap() = outcome.map(Into::into);
    }

    fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }

    fn check(&self) -> std::future::Ready<Result<String, ProofError>> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        std::future::ready(self.outcome.lock().unwrap().clone())
    }
}

fn with_proofs(builder: Builder, database: &ScriptedProof, models: &ScriptedProof) -> Builder {
    let (database, models) = (database.clone(), models.clone());
    builder.database(move || database.check()).models(move || models.check())
}

fn refuted(why: &str) -> Result<&'static str, ProofError> {
    Err(ProofError::Refuted(why.into()))
}

fn untried(why: &str) -> Result<&'static str, ProofError> {
    Err(ProofError::Untried(why.into()))
}

#[tokio::test]
async fn all_three_proofs_open_it_and_are_reported_in_order() {
    let (database, models) =
        (ScriptedProof::new(Ok("db-1")), ScriptedProof::new(Ok("5 tables answer")));
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(with_proofs(gate_at(&schema.url), &database, &models)).await;

    gated.opened().await;
    let readiness = gated.readiness().await;
    let reported: Vec<_> = readiness
        .proofs
        .iter()
        .map(|proof| (&*proof.name, proof.holds, &*proof.evidence))
        .collect();
    assert_eq!(
        reported,
        [
            ("schema", true, "schema is at 0003 (head); required revision 0003 is applied"),
            ("database", true, "the schema service and this service use db-1"),
            ("models", true, "5 tables answer"),
        ]
    );
    let revisions = (&*readiness.requires, &*readiness.built_with);
    assert_eq!((revisions, &*readiness.reason), (("0002", "0003"), ""));
}

#[tokio::test]
async fn another_database_keeps_it_closed_and_the_models_unchecked() {
    let (database, models) =
        (ScriptedProof::new(Ok("db-2")), ScriptedProof::new(Ok("5 tables answer")));
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(with_proofs(gate_at(&schema.url), &database, &models)).await;

    let readiness = gated.wait_for_evidence("database", "db-2").await;
    assert_eq!(readiness.reason, "SCHEMA_OTHER_DATABASE");
    let refused = gated.call().await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_OTHER_DATABASE");
    assert!(refused.message().contains("the schema service uses database db-1"), "{refused}");
    assert_eq!(models.checks(), 0);
}

#[tokio::test]
async fn a_missing_column_keeps_it_closed_at_head() {
    let models = ScriptedProof::new(refuted("column chats.last_message_at does not exist"));
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(with_proofs(
        gate_at(&schema.url),
        &ScriptedProof::new(Ok("db-1")),
        &models,
    ))
    .await;

    gated.wait_for_evidence("models", "last_message_at").await;
    let refused = gated.call().await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_MODEL_MISMATCH");
    assert!(refused.message().contains("chats.last_message_at does not exist"), "{refused}");

    models.set(Ok("5 tables answer"));
    gated.opened().await;
}

#[tokio::test]
async fn an_unreachable_database_opens_no_gate_and_closes_none() {
    let models = ScriptedProof::new(untried("connection refused"));
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(with_proofs(
        gate_at(&schema.url),
        &ScriptedProof::new(Ok("db-1")),
        &models,
    ))
    .await;
    let readiness = gated.wait_for_evidence("models", "connection refused").await;
    assert_eq!(readiness.reason, "SCHEMA_UNREACHABLE");

    models.set(Ok("5 tables answer"));
    gated.opened().await;
    models.set(untried("connection reset"));
    gated.gate.report_undefined();
    gated.call().await.expect("open");
    assert!(gated.wait_for_evidence("models", "connection reset").await.open);
}

#[tokio::test]
async fn a_fault_makes_calls_wait_for_the_next_evaluation() {
    let models = ScriptedProof::new(Ok("5 tables answer"));
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(with_proofs(
        gate_at(&schema.url),
        &ScriptedProof::new(Ok("db-1")),
        &models,
    ))
    .await;
    gated.opened().await;

    // The proofs hold: the call waits for them and passes.
    let before = models.checks();
    gated.gate.report_undefined();
    gated.call().await.expect("open");
    assert!(models.checks() > before);

    // The host's proofs are checked while the schema service does not answer.
    fake.stop_answering();
    gated.wait_for_evidence("schema", "does not answer now").await;
    models.set(refuted("column chats.name does not exist"));
    gated.closed().await;
    assert_eq!(reason(&gated.call().await.unwrap_err()), "SCHEMA_MODEL_MISMATCH");
}

#[tokio::test]
async fn the_call_after_a_fault_is_refused_where_a_proof_fails() {
    let models = ScriptedProof::new(Ok("5 tables answer"));
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(with_proofs(
        gate_at(&schema.url),
        &ScriptedProof::new(Ok("db-1")),
        &models,
    ))
    .await;
    gated.opened().await;

    models.set(refuted("table chats does not exist"));
    gated.gate.report_undefined();
    assert_eq!(reason(&gated.call().await.unwrap_err()), "SCHEMA_MODEL_MISMATCH");
}
