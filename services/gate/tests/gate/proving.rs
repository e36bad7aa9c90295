//! The proofs that the host makes on its own connection.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use gate::{Builder, ProofError};

use crate::fake::{Fake, Gated, Served, asking, at, reason};

/// A proof that says what a test tells it to, and counts.
#[derive(Clone)]
struct Told {
    outcome: Arc<Mutex<Result<String, ProofError>>>,
    times: Arc<AtomicUsize>,
}

impl Told {
    fn new(outcome: Result<&str, ProofError>) -> Self {
        let outcome = Arc::new(Mutex::new(outcome.map(Into::into)));
        Self { outcome, times: Arc::default() }
    }

    fn becomes(&self, outcome: Result<&str, ProofError>) {
        *self.outcome.lock().unwrap() = outcome.map(Into::into);
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }

    fn prove(&self) -> std::future::Ready<Result<String, ProofError>> {
        self.times.fetch_add(1, Ordering::SeqCst);
        std::future::ready(self.outcome.lock().unwrap().clone())
    }
}

fn proven(builder: Builder, database: &Told, models: &Told) -> Builder {
    let (database, models) = (database.clone(), models.clone());
    builder.database(move || database.prove()).models(move || models.prove())
}

fn refuted(why: &str) -> Result<&'static str, ProofError> {
    Err(ProofError::Refuted(why.into()))
}

fn untried(why: &str) -> Result<&'static str, ProofError> {
    Err(ProofError::Untried(why.into()))
}

#[tokio::test]
async fn all_three_open_it_and_are_shown_in_order() {
    let (database, models) = (Told::new(Ok("db-1")), Told::new(Ok("5 tables answer")));
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(proven(asking(&schema.url), &database, &models)).await;

    toy.opened().await;
    let told = toy.readiness().await;
    let shown: Vec<_> =
        told.proofs.iter().map(|proof| (&*proof.name, proof.holds, &*proof.evidence)).collect();
    assert_eq!(
        shown,
        [
            ("schema", true, "the schema is at 0003 (head) and holds 0003"),
            ("database", true, "both read db-1"),
            ("models", true, "5 tables answer"),
        ]
    );
    assert_eq!((&*told.requires, &*told.built_with, &*told.reason), ("0002", "0003", ""));
}

#[tokio::test]
async fn another_database_keeps_it_closed_and_the_models_unasked() {
    let (database, models) = (Told::new(Ok("db-2")), Told::new(Ok("5 tables answer")));
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(proven(asking(&schema.url), &database, &models)).await;

    let told = toy.evidence("database", "db-2").await;
    assert_eq!(told.reason, "SCHEMA_OTHER_DATABASE");
    let refused = toy.call().await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_OTHER_DATABASE");
    assert!(refused.message().contains("speaks of database db-1"), "{refused}");
    assert_eq!(models.times(), 0);
}

#[tokio::test]
async fn a_missing_column_keeps_it_closed_whatever_the_revision_says() {
    let models = Told::new(refuted("column chats.last_message_at does not exist"));
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(proven(asking(&schema.url), &Told::new(Ok("db-1")), &models)).await;

    toy.evidence("models", "last_message_at").await;
    let refused = toy.call().await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_MODEL_MISMATCH");
    assert!(refused.message().contains("chats.last_message_at does not exist"), "{refused}");

    models.becomes(Ok("5 tables answer"));
    toy.opened().await;
}

#[tokio::test]
async fn a_database_that_is_away_opens_no_gate_and_closes_none() {
    let models = Told::new(untried("connection refused"));
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(proven(asking(&schema.url), &Told::new(Ok("db-1")), &models)).await;
    let told = toy.evidence("models", "connection refused").await;
    assert_eq!(told.reason, "SCHEMA_UNREACHABLE");

    models.becomes(Ok("5 tables answer"));
    toy.opened().await;
    models.becomes(untried("connection reset"));
    toy.gate.report_undefined();
    toy.call().await.expect("open");
    assert!(toy.evidence("models", "connection reset").await.open);
}

#[tokio::test]
async fn after_an_undefined_column_it_looks_again_before_the_next_call() {
    let models = Told::new(Ok("5 tables answer"));
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(proven(asking(&schema.url), &Told::new(Ok("db-1")), &models)).await;
    toy.opened().await;

    // A false alarm holds the call up and lets it pass: health does not even notice.
    let before = models.times();
    toy.gate.report_undefined();
    toy.call().await.expect("open");
    assert!(models.times() > before);

    // While the schema service is away, this is what tells.
    fake.go_away();
    toy.evidence("schema", "it does not answer now").await;
    models.becomes(refuted("column chats.name does not exist"));
    toy.closed().await;
    assert_eq!(reason(&toy.call().await.unwrap_err()), "SCHEMA_MODEL_MISMATCH");
}

#[tokio::test]
async fn a_true_alarm_refuses_the_next_call() {
    let models = Told::new(Ok("5 tables answer"));
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(proven(asking(&schema.url), &Told::new(Ok("db-1")), &models)).await;
    toy.opened().await;

    models.becomes(refuted("table chats does not exist"));
    toy.gate.report_undefined();
    assert_eq!(reason(&toy.call().await.unwrap_err()), "SCHEMA_MODEL_MISMATCH");
}
