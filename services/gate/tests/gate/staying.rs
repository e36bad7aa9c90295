//! What an open gate stays open through, and what closes it.

use std::time::Duration;

use api::schema::v1::Status;
use gate::Mode;

use crate::fake::{Fake, Gated, Served, asking, at, reason};

#[tokio::test]
async fn a_newer_schema_service_with_revisions_pending_throws_nobody_out() {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    toy.opened().await;

    let mut newer = at("0003");
    newer.head = "0004".into();
    newer.pending = vec!["0004".into()];
    for status in [Status::Behind, Status::Migrating, Status::Failed] {
        newer.at_head = false;
        newer.set_status(status);
        fake.say(newer.clone());
        let told = toy.evidence("schema", status.as_str_name()).await;
        assert!(told.open, "{told:?}");
        toy.call().await.expect("open");
    }

    // A replica that starts now waits for head; one that was told to needs only its revision.
    let strict = Gated::start(asking(&schema.url)).await;
    strict.evidence("schema", "must be at head (0004)").await;
    strict.call().await.expect_err("closed");
    let lenient = Gated::start(asking(&schema.url).mode(Mode::Required)).await;
    lenient.opened().await;
    lenient.call().await.expect("open");
}

#[tokio::test]
async fn a_downgrade_closes_at_once_below_what_the_mode_needs() {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let strict = Gated::start(asking(&schema.url)).await;
    let lenient = Gated::start(asking(&schema.url).mode(Mode::Required)).await;
    strict.opened().await;
    lenient.opened().await;

    // Below what it was built with, and not below what it can run on.
    fake.say(at("0002"));
    strict.closed().await;
    assert_eq!(reason(&strict.call().await.unwrap_err()), "SCHEMA_NOT_AT_HEAD");
    assert!(lenient.evidence("schema", "at 0002").await.open);
    fake.say(at("0001"));
    lenient.closed().await;
}

#[tokio::test]
async fn a_revision_that_breaks_the_build_closes_at_head_too() {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    toy.opened().await;

    let mut breaking = at("0003");
    breaking.revision = "0004".into();
    breaking.head = "0004".into();
    breaking.compatible_from = "0003".into();
    fake.say(breaking.clone());
    assert!(toy.evidence("schema", "at 0004 (head)").await.open, "built with 0003, which it runs");

    breaking.compatible_from = "0004".into();
    fake.say(breaking);
    toy.closed().await;
    let refused = toy.call().await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_INCOMPATIBLE");
    assert!(refused.message().contains("this one was built with 0003"), "{refused}");
}

#[tokio::test]
async fn it_stays_open_while_the_schema_service_is_away() {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    toy.opened().await;
    let before = toy.readiness().await;

    fake.go_away();
    let told = toy.evidence("schema", "it does not answer now").await;
    assert!(told.open && told.since == before.since, "{told:?}");
    assert!(told.heard_at.is_some());
    toy.call().await.expect("open");

    fake.say(at("0001"));
    toy.closed().await;
}

#[tokio::test]
async fn knowledge_that_is_too_old_opens_nothing_and_a_closed_gate_stays_closed() {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url).max_staleness(Duration::ZERO)).await;
    toy.opened().await;

    fake.go_away();
    toy.closed().await;
    let refused = toy.call().await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_UNREACHABLE");
    assert!(refused.message().contains("the schema was at 0003 of 0003"), "{refused}");

    fake.say(at("0003"));
    toy.opened().await;
}
