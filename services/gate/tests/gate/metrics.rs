//! The gate's metrics.

use std::time::Instant;

use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::fake::{FakeSchema, GatedService, Served, gate_at, state_at};

/// Lines of a scrape, without the comments.
fn scrape(gated: &GatedService) -> Vec<String> {
    let (mut registry, mut text) = (Registry::default(), String::new());
    gated.gate.register(&mut registry);
    encode(&mut text, &registry).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text.lines().filter(|line| !line.starts_with('#')).map(Into::into).collect()
}

/// The value of a metric; panics where it is missing.
fn value(lines: &[String], metric: &str) -> f64 {
    let line = lines.iter().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{metric} is missing: {lines:?}")).parse().unwrap()
}

#[tokio::test]
async fn a_scrape_has_the_state_the_proofs_the_ages_and_the_refusals() {
    let started = Instant::now();
    let fake = FakeSchema::reporting(state_at("0001"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    gated.wait_for_evidence("schema", "at 0001").await;
    for _ in 0..3 {
        gated.call().await.expect_err("closed");
    }

    let closed = scrape(&gated);
    assert_eq!(value(&closed, "gate_open"), 0.0);
    assert_eq!(value(&closed, "gate_proof_holds{proof=\"schema\"}"), 0.0);
    assert_eq!(value(&closed, "gate_refusals_total{reason=\"SCHEMA_NOT_AT_HEAD\"}"), 3.0);
    assert_eq!(value(&closed, "gate_refusals_total{reason=\"SCHEMA_UNREACHABLE\"}"), 0.0);
    assert!(closed.iter().all(|line| !line.starts_with("gate_opening_seconds")), "{closed:?}");

    fake.report(state_at("0003"));
    gated.opened().await;
    let open = scrape(&gated);
    assert_eq!(value(&open, "gate_open"), 1.0);
    assert_eq!(value(&open, "gate_proof_holds{proof=\"schema\"}"), 1.0);
    assert!(value(&open, "gate_opening_seconds") > value(&closed, "gate_state_age_seconds"));
    assert!(value(&open, "gate_knowledge_age_seconds") <= started.elapsed().as_secs_f64());
}
