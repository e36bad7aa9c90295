//! How a gated service ends: nobody who could know better is refused.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;

use crate::fake::{Fake, GATED, Gated, SOON, Served, asking, at, reason};

/// No test waits this long.
const LONG: Duration = Duration::from_secs(3600);

/// Ends a gate as a host would.
async fn shut_down(toy: &Gated, notice: Duration) -> tokio::task::JoinHandle<()> {
    let gate = toy.gate.clone();
    tokio::spawn(async move { gate.shutdown(notice).await })
}

/// What a prober does; 1 is SERVING, 2 NOT_SERVING.
async fn probe(toy: &Gated, service: &str) -> i32 {
    let request = HealthCheckRequest { service: service.into() };
    toy.health.clone().check(request).await.unwrap().into_inner().status
}

async fn open_toy() -> (Fake, Served, Gated) {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    toy.opened().await;
    toy.healthy("", true).await;
    (fake, schema, toy)
}

#[tokio::test]
async fn calls_are_served_until_a_prober_has_read_not_serving() {
    let (fake, _schema, toy) = open_toy().await;
    assert_eq!(probe(&toy, GATED).await, 1);

    let ending = shut_down(&toy, LONG).await;
    toy.healthy(GATED, false).await;
    // Neither the liveness probe nor a change of the schema moves it.
    assert_eq!(probe(&toy, gate::LIVENESS).await, 1);
    fake.say(at("0001"));
    toy.closed().await;
    fake.say(at("0003"));
    toy.opened().await;
    toy.healthy(GATED, false).await;
    toy.call().await.expect("still served");
    assert!(!ending.is_finished());

    assert_eq!(probe(&toy, GATED).await, 2);
    tokio::time::timeout(SOON, ending).await.expect("a prober knows").unwrap();
    assert_eq!(reason(&toy.call().await.unwrap_err()), "SHUTTING_DOWN");
    assert_eq!((probe(&toy, GATED).await, probe(&toy, gate::LIVENESS).await), (2, 1));
}

#[tokio::test]
async fn a_balancer_that_wants_two_failures_gets_them() {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url).probe_failures(2)).await;
    toy.opened().await;
    toy.healthy("", true).await;
    assert_eq!(probe(&toy, GATED).await, 1);

    let ending = shut_down(&toy, LONG).await;
    // The first of them may still read SERVING, which does not count.
    while probe(&toy, GATED).await == 1 {}
    toy.call().await.expect("still served");
    assert!(!ending.is_finished());
    assert_eq!(probe(&toy, GATED).await, 2);
    tokio::time::timeout(SOON, ending).await.expect("it knows").unwrap();
    toy.call().await.expect_err("refused");
}

#[tokio::test]
async fn nobody_is_waited_for_where_nobody_probes_and_no_longer_than_told() {
    let (_fake, _schema, toy) = open_toy().await;
    let ending = shut_down(&toy, LONG).await;
    tokio::time::timeout(SOON, ending).await.expect("at once").unwrap();

    let (_fake, _schema, toy) = open_toy().await;
    probe(&toy, "").await;
    let ending = shut_down(&toy, Duration::from_millis(10)).await;
    tokio::time::timeout(SOON, ending).await.expect("the limit").unwrap();
    toy.call().await.expect_err("refused");
}

#[tokio::test]
async fn a_closed_gate_has_nothing_to_tell_its_probers() {
    let fake = Fake::saying(at("0001"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    assert_eq!(probe(&toy, "").await, 2);
    let ending = shut_down(&toy, LONG).await;
    tokio::time::timeout(SOON, ending).await.expect("at once").unwrap();
}

#[tokio::test]
async fn streams_and_watches_end() {
    let (_fake, _schema, toy) = open_toy().await;
    let endless = stream::iter([Ok::<_, Status>(1)]).chain(stream::pending());
    let mut answers = Box::pin(toy.gate.while_open(endless));
    assert_eq!(answers.next().await.unwrap().unwrap(), 1);
    let request = HealthCheckRequest::default();
    let mut watched = toy.health.clone().watch(request).await.unwrap().into_inner();

    shut_down(&toy, LONG).await.await.unwrap();
    assert_eq!(reason(&answers.next().await.unwrap().unwrap_err()), "SHUTTING_DOWN");
    assert!(answers.next().await.is_none());
    let drained = async { while watched.message().await.unwrap().is_some() {} };
    tokio::time::timeout(SOON, drained).await.expect("health's Watch ends");
}

#[tokio::test]
async fn a_stream_ends_when_the_schema_falls_back_and_when_it_is_done() {
    let (fake, _schema, toy) = open_toy().await;
    let mut done = Box::pin(toy.gate.while_open(stream::iter([Ok::<_, Status>(1)])));
    assert_eq!(done.next().await.unwrap().unwrap(), 1);
    assert!(done.next().await.is_none());

    let mut answers = Box::pin(toy.gate.while_open(stream::pending::<Result<(), Status>>()));
    fake.say(at("0001"));
    let told = tokio::time::timeout(SOON, answers.next()).await.expect("it ends");
    assert_eq!(reason(&told.unwrap().unwrap_err()), "SCHEMA_NOT_AT_HEAD");
}
