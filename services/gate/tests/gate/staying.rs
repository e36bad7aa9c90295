//! What keeps an open gate open, and what closes it.

use std::time::Duration;

use api::schema::v1::Status;
use gate::Mode;

use crate::fake::{FakeSchema, GatedService, Served, gate_at, reason, state_at};

#[tokio::test]
async fn pending_revisions_of_a_newer_schema_service_close_no_open_gate() {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    gated.opened().await;

    let mut newer = state_at("0003");
    newer.head = "0004".into();
    newer.pending = vec!["0004".into()];
    for status in [Status::Behind, Status::Migrating, Status::Failed] {
        newer.at_head = false;
        newer.set_status(status);
        fake.report(newer.clone());
        let readiness = gated.wait_for_evidence("schema", status.as_str_name()).await;
        assert!(readiness.open, "{readiness:?}");
        gated.call().await.expect("open");
    }

    // To open, a new replica needs head; in mode required, its revision.
    let strict = GatedService::start(gate_at(&schema.url)).await;
    strict.wait_for_evidence("schema", "requires head (0004)").await;
    strict.call().await.expect_err("closed");
    let lenient = GatedService::start(gate_at(&schema.url).mode(Mode::Required)).await;
    lenient.opened().await;
    lenient.call().await.expect("open");
}

#[tokio::test]
async fn a_downgrade_closes_a_gate_below_the_revision_of_its_mode() {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let strict = GatedService::start(gate_at(&schema.url)).await;
    let lenient = GatedService::start(gate_at(&schema.url).mode(Mode::Required)).await;
    strict.opened().await;
    lenient.opened().await;

    // Below the built-with revision, and not below the required one.
    fake.report(state_at("0002"));
    strict.closed().await;
    assert_eq!(reason(&strict.call().await.unwrap_err()), "SCHEMA_NOT_AT_HEAD");
    assert!(lenient.wait_for_evidence("schema", "at 0002").await.open);
    fake.report(state_at("0001"));
    lenient.closed().await;
}

#[tokio::test]
async fn an_incompatible_revision_closes_a_gate_at_head() {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    gated.opened().await;

    let mut breaking = state_at("0003");
    breaking.revision = "0004".into();
    breaking.head = "0004".into();
    breaking.compatible_from = "0003".into();
    fake.report(breaking.clone());
    assert!(
        gated.wait_for_evidence("schema", "at 0004 (head)").await.open,
        "it runs builds made for 0003"
    );

    breaking.compatible_from = "0004".into();
    fake.report(breaking);
    gated.closed().await;
    let refused = gated.call().await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_INCOMPATIBLE");
    assert!(refused.message().contains("this build was made for 0003"), "{refused}");
}

#[tokio::test]
async fn it_stays_open_while_the_schema_service_does_not_answer() {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    gated.opened().await;
    let before = gated.readiness().await;

    fake.stop_answering();
    let silent = gated.wait_for_evidence("schema", "does not answer now").await;
    assert!(silent.open && silent.since == before.since, "{silent:?}");
    assert!(silent.heard_at.is_some());
    gated.call().await.expect("open");

    fake.report(state_at("0001"));
    gated.closed().await;
}

#[tokio::test]
async fn it_closes_at_the_maximum_staleness_and_opens_with_the_next_answer() {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url).max_staleness(Duration::ZERO)).await;
    gated.opened().await;

    fake.stop_answering();
    gated.closed().await;
    let refused = gated.call().await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_UNREACHABLE");
    assert!(refused.message().contains("it last reported 0003 of 0003"), "{refused}");

    fake.report(state_at("0003"));
    gated.opened().await;
}
