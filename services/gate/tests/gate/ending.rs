//! The shutdown of a gated service: probers read NOT_SERVING before calls are refused.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;

use crate::fake::{
    FakeSchema, GatedService, SERVICE_NAME, Served, WAIT_LIMIT, gate_at, reason, state_at,
};

/// Longer than any test waits.
const UNREACHED_NOTICE: Duration = Duration::from_secs(3600);

/// Shuts a gate down as a host would.
async fn shut_down(gated: &GatedService, notice: Duration) -> tokio::task::JoinHandle<()> {
    let gate = gated.gate.clone();
    tokio::spawn(async move { gate.shutdown(notice).await })
}

/// Probes once; 1 is SERVING, 2 NOT_SERVING.
async fn probe(gated: &GatedService, service: &str) -> i32 {
    let request = HealthCheckRequest { service: service.into() };
    gated.health.clone().check(request).await.unwrap().into_inner().status
}

async fn open_gate() -> (FakeSchema, Served, GatedService) {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    gated.opened().await;
    gated.wait_for_health("", true).await;
    (fake, schema, gated)
}

#[tokio::test]
async fn calls_are_served_until_a_prober_has_read_not_serving() {
    let (fake, _schema, gated) = open_gate().await;
    assert_eq!(probe(&gated, SERVICE_NAME).await, 1);

    let ending = shut_down(&gated, UNREACHED_NOTICE).await;
    gated.wait_for_health(SERVICE_NAME, false).await;
    // Neither a liveness probe nor a change of the schema ends the wait.
    assert_eq!(probe(&gated, gate::LIVENESS).await, 1);
    fake.report(state_at("0001"));
    gated.closed().await;
    fake.report(state_at("0003"));
    gated.opened().await;
    gated.wait_for_health(SERVICE_NAME, false).await;
    gated.call().await.expect("still served");
    assert!(!ending.is_finished());

    assert_eq!(probe(&gated, SERVICE_NAME).await, 2);
    tokio::time::timeout(WAIT_LIMIT, ending).await.expect("a probe has failed").unwrap();
    assert_eq!(reason(&gated.call().await.unwrap_err()), "SHUTTING_DOWN");
    assert_eq!((probe(&gated, SERVICE_NAME).await, probe(&gated, gate::LIVENESS).await), (2, 1));
}

#[tokio::test]
async fn a_probe_of_another_protocol_ends_the_wait_too() {
    let (_fake, _schema, gated) = open_gate().await;
    let gate = &gated.gate;
    gate.probe().await.expect("open");
    gate.admit().await.expect("open");

    let ending = shut_down(&gated, UNREACHED_NOTICE).await;
    gated.wait_for_health(SERVICE_NAME, false).await;
    gate.admit().await.expect("still served");
    assert_eq!(reason(&gate.probe().await.unwrap_err()), "SHUTTING_DOWN");
    tokio::time::timeout(WAIT_LIMIT, ending).await.expect("a probe has failed").unwrap();
    assert_eq!(reason(&gate.admit().await.unwrap_err()), "SHUTTING_DOWN");
    assert_eq!(reason(&gate.refusal().unwrap()), "SHUTTING_DOWN");
}

#[tokio::test]
async fn calls_are_served_until_as_many_probes_have_failed_as_configured() {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url).probe_failures(2)).await;
    gated.opened().await;
    gated.wait_for_health("", true).await;
    assert_eq!(probe(&gated, SERVICE_NAME).await, 1);

    let ending = shut_down(&gated, UNREACHED_NOTICE).await;
    // The first of them may still read SERVING, which is not counted.
    while probe(&gated, SERVICE_NAME).await == 1 {}
    gated.call().await.expect("still served");
    assert!(!ending.is_finished());
    assert_eq!(probe(&gated, SERVICE_NAME).await, 2);
    tokio::time::timeout(WAIT_LIMIT, ending).await.expect("two probes have failed").unwrap();
    gated.call().await.expect_err("refused");
}

#[tokio::test]
async fn a_shutdown_without_probes_is_immediate_and_with_probes_ends_after_its_notice() {
    let (_fake, _schema, gated) = open_gate().await;
    let ending = shut_down(&gated, UNREACHED_NOTICE).await;
    tokio::time::timeout(WAIT_LIMIT, ending).await.expect("an immediate end").unwrap();

    let (_fake, _schema, gated) = open_gate().await;
    probe(&gated, "").await;
    let ending = shut_down(&gated, Duration::from_millis(10)).await;
    tokio::time::timeout(WAIT_LIMIT, ending).await.expect("the notice passes").unwrap();
    gated.call().await.expect_err("refused");
}

#[tokio::test]
async fn the_shutdown_of_a_closed_gate_is_immediate() {
    let fake = FakeSchema::reporting(state_at("0001"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    assert_eq!(probe(&gated, "").await, 2);
    let ending = shut_down(&gated, UNREACHED_NOTICE).await;
    tokio::time::timeout(WAIT_LIMIT, ending).await.expect("an immediate end").unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_gated_streams_and_health_watches() {
    let (_fake, _schema, gated) = open_gate().await;
    let endless = stream::iter([Ok::<_, Status>(1)]).chain(stream::pending());
    let mut answers = Box::pin(gated.gate.while_open(endless));
    assert_eq!(answers.next().await.unwrap().unwrap(), 1);
    let request = HealthCheckRequest::default();
    let mut watched = gated.health.clone().watch(request).await.unwrap().into_inner();

    shut_down(&gated, UNREACHED_NOTICE).await.await.unwrap();
    assert_eq!(reason(&answers.next().await.unwrap().unwrap_err()), "SHUTTING_DOWN");
    assert!(answers.next().await.is_none());
    let drained = async { while watched.message().await.unwrap().is_some() {} };
    tokio::time::timeout(WAIT_LIMIT, drained).await.expect("health's Watch ends");
}

#[tokio::test]
async fn a_gated_stream_ends_with_its_source_or_when_the_gate_closes() {
    let (fake, _schema, gated) = open_gate().await;
    let mut done = Box::pin(gated.gate.while_open(stream::iter([Ok::<_, Status>(1)])));
    assert_eq!(done.next().await.unwrap().unwrap(), 1);
    assert!(done.next().await.is_none());

    let mut answers = Box::pin(gated.gate.while_open(stream::pending::<Result<(), Status>>()));
    fake.report(state_at("0001"));
    let last = tokio::time::timeout(WAIT_LIMIT, answers.next()).await.expect("it ends");
    assert_eq!(reason(&last.unwrap().unwrap_err()), "SCHEMA_NOT_AT_HEAD");
}
