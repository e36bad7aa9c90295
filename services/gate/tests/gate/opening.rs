//! When a gate opens and closes, and the refusal of a closed one.

use std::{sync::atomic::Ordering, time::Duration};

use api::schema::v1::{Status, WatchRequest};
use gate::LIVENESS;
use tokio::net::TcpListener;
use tonic_types::StatusExt as _;

use crate::fake::{
    FakeSchema, GatedService, SERVICE_NAME, Served, WAIT_LIMIT, gate_at, reason, state_at,
};

#[tokio::test]
async fn it_opens_at_head_and_closes_below_the_built_with_revision() {
    let fake = FakeSchema::reporting(state_at("0001"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;

    gated.wait_for_health("", false).await;
    gated.wait_for_health(SERVICE_NAME, false).await;
    gated.wait_for_health(LIVENESS, true).await;
    gated.call().await.expect_err("closed");

    fake.report(state_at("0003"));
    gated.opened().await;
    gated.call().await.expect("open");
    gated.wait_for_health("", true).await;
    gated.wait_for_health(SERVICE_NAME, true).await;

    fake.report(state_at("0001"));
    gated.closed().await;
    assert_eq!(reason(&gated.call().await.unwrap_err()), "SCHEMA_NOT_AT_HEAD");
    gated.wait_for_health(SERVICE_NAME, false).await;
    gated.wait_for_health(LIVENESS, true).await;

    fake.report(state_at("0003"));
    gated.opened().await;
    gated.call().await.expect("open again");
}

#[tokio::test]
async fn a_refusal_names_the_current_and_the_required_revision_and_the_command() {
    let fake = FakeSchema::reporting(state_at("0001"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    refused_with(&gated, "SCHEMA_NOT_AT_HEAD").await;

    let refused = gated.call().await.unwrap_err();
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.domain, "schemagate");
    for (key, value) in [("current", "0001"), ("required", "0003"), ("head", "0003")] {
        assert_eq!(info.metadata[key], value);
    }
    let retry = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(retry, Duration::from_secs(1));
    assert_eq!(
        refused.message(),
        "schema is at 0001 but this build requires 0003; run \"schema upgrade\""
    );

    let streamed = gated.calls.clone().watch(WatchRequest::default()).await.unwrap_err();
    assert_eq!(reason(&streamed), "SCHEMA_NOT_AT_HEAD");
}

#[tokio::test]
async fn it_stays_closed_at_head_where_the_required_revision_is_not_held() {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url).requires("0004").built_with("0004")).await;

    let refused = refused_with(&gated, "SCHEMA_NOT_AT_HEAD").await;
    assert!(refused.message().contains("deploy a schema service that holds 0004"), "{refused}");
}

#[tokio::test]
async fn a_refusal_tells_a_running_operation_from_a_failed_one() {
    let mut state = state_at("0001");
    state.set_status(Status::Migrating);
    let fake = FakeSchema::reporting(state.clone());
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    let refused = refused_with(&gated, "SCHEMA_NOT_AT_HEAD").await;
    assert!(refused.message().contains("an operation is running"), "{refused}");

    state.set_status(Status::Failed);
    state.message = "0002 failed: line 3: disk full".into();
    fake.report(state);
    let refused = refused_with_message(&gated, "STATUS_FAILED").await;
    assert!(refused.message().contains("0002 failed: line 3: disk full"), "{refused}");
}

#[tokio::test]
async fn it_names_an_unreachable_schema_service_and_opens_once_it_answers() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let gated = GatedService::start(gate_at(&format!("http://{address}"))).await;

    let refused = refused_with_message(&gated, "does not answer").await;
    assert_eq!(reason(&refused), "SCHEMA_UNREACHABLE");
    assert!(refused.message().contains(&address.to_string()), "{refused}");

    let fake = FakeSchema::reporting(state_at("0003"));
    let listener = TcpListener::bind(address).await.unwrap();
    let routes = tonic::service::Routes::new(
        api::schema::v1::schema_service_server::SchemaServiceServer::new(fake),
    );
    let _schema = Served::start_on(listener, routes);
    gated.opened().await;
    gated.call().await.expect("open");
}

#[tokio::test]
async fn it_opens_only_once_it_is_registered_by_watch() {
    let fake = FakeSchema::reporting(state_at("0003"));
    fake.refuses_watch.store(true, Ordering::SeqCst);
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;

    let readiness = gated.wait_for_evidence("schema", "not registered by Watch").await;
    assert_eq!(readiness.reason, "SCHEMA_UNREACHABLE");
    assert!(readiness.heard_at.is_some());
    refused_with_message(&gated, "no streams allowed").await;

    fake.refuses_watch.store(false, Ordering::SeqCst);
    gated.opened().await;
}

#[tokio::test]
async fn it_is_closed_and_deregistered_after_run_has_returned() {
    let fake = FakeSchema::reporting(state_at("0003"));
    let schema = Served::schema(&fake).await;
    let gated = GatedService::start(gate_at(&schema.url)).await;
    gated.opened().await;
    assert_eq!(fake.dependents.lock().unwrap()[0].requires, "0002");

    gated.stopping.cancel();
    gated.closed().await;
    assert_eq!(reason(&gated.call().await.unwrap_err()), "SHUTTING_DOWN");
    // Closed once the last Watch stream has ended.
    tokio::time::timeout(WAIT_LIMIT, fake.reported.closed()).await.expect("the stream ends");
}

/// Calls until the refusal has a reason: the first calls may precede the first answer.
async fn refused_with(gated: &GatedService, wanted: &str) -> tonic::Status {
    refused_where(gated, |refused| reason(refused) == wanted).await
}

async fn refused_with_message(gated: &GatedService, wanted: &str) -> tonic::Status {
    refused_where(gated, |refused| refused.message().contains(wanted)).await
}

async fn refused_where(
    gated: &GatedService,
    wanted: impl Fn(&tonic::Status) -> bool,
) -> tonic::Status {
    let calling = async {
        loop {
            let refused = gated.call().await.expect_err("closed");
            if wanted(&refused) {
                return refused;
            }
        }
    };
    tokio::time::timeout(WAIT_LIMIT, calling).await.expect("the refusal changes")
}
