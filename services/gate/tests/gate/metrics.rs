//! What a scrape reads.

use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::fake::{Fake, Gated, Served, asking, at};

/// A scrape, as lines without the help.
fn scraped(toy: &Gated) -> Vec<String> {
    let (mut registry, mut text) = (Registry::default(), String::new());
    toy.gate.register(&mut registry);
    encode(&mut text, &registry).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text.lines().filter(|line| !line.starts_with('#')).map(Into::into).collect()
}

/// The value of a metric that a scrape must have.
fn value(lines: &[String], metric: &str) -> f64 {
    let line = lines.iter().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{metric} is missing: {lines:?}")).parse().unwrap()
}

#[tokio::test]
async fn it_tells_the_state_the_proofs_the_ages_and_the_refusals() {
    let fake = Fake::saying(at("0001"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    toy.evidence("schema", "at 0001").await;
    for _ in 0..3 {
        toy.call().await.expect_err("closed");
    }

    let closed = scraped(&toy);
    assert_eq!(value(&closed, "gate_open"), 0.0);
    assert_eq!(value(&closed, "gate_proof_holds{proof=\"schema\"}"), 0.0);
    assert_eq!(value(&closed, "gate_refusals_total{reason=\"SCHEMA_NOT_AT_HEAD\"}"), 3.0);
    assert_eq!(value(&closed, "gate_refusals_total{reason=\"SCHEMA_UNREACHABLE\"}"), 0.0);
    assert!(closed.iter().all(|line| !line.starts_with("gate_opening_seconds")), "{closed:?}");

    fake.say(at("0003"));
    toy.opened().await;
    let open = scraped(&toy);
    assert_eq!(value(&open, "gate_open"), 1.0);
    assert_eq!(value(&open, "gate_proof_holds{proof=\"schema\"}"), 1.0);
    assert!(value(&open, "gate_opening_seconds") > value(&closed, "gate_state_age_seconds"));
    assert!(value(&open, "gate_knowledge_age_seconds") < 10.0);
}
