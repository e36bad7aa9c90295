//! When a gate opens and closes, and what a refused call is told.

use std::{sync::atomic::Ordering, time::Duration};

use api::schema::v1::{Status, WatchRequest};
use gate::LIVENESS;
use tokio::net::TcpListener;
use tonic_types::StatusExt as _;

use crate::fake::{Fake, GATED, Gated, SOON, Served, asking, at, reason};

#[tokio::test]
async fn it_opens_at_head_and_closes_below_what_it_was_built_with() {
    let fake = Fake::saying(at("0001"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;

    toy.healthy("", false).await;
    toy.healthy(GATED, false).await;
    toy.healthy(LIVENESS, true).await;
    toy.call().await.expect_err("closed");

    fake.say(at("0003"));
    toy.opened().await;
    toy.call().await.expect("open");
    toy.healthy("", true).await;
    toy.healthy(GATED, true).await;

    fake.say(at("0001"));
    toy.closed().await;
    assert_eq!(reason(&toy.call().await.unwrap_err()), "SCHEMA_NOT_AT_HEAD");
    toy.healthy(GATED, false).await;
    toy.healthy(LIVENESS, true).await;

    fake.say(at("0003"));
    toy.opened().await;
    toy.call().await.expect("open again");
}

#[tokio::test]
async fn a_refused_call_reads_where_the_schema_is_and_what_mends_it() {
    let fake = Fake::saying(at("0001"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    told(&toy, "SCHEMA_NOT_AT_HEAD").await;

    let refused = toy.call().await.unwrap_err();
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.domain, "schemagate");
    for (key, value) in [("current", "0001"), ("required", "0003"), ("head", "0003")] {
        assert_eq!(info.metadata[key], value);
    }
    let retry = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(retry, Duration::from_secs(1));
    let address = schema.url.strip_prefix("http://").unwrap();
    assert_eq!(
        refused.message(),
        format!(
            "the schema is at 0001 and must be at head (0003); upgrade it: \
             grpcurl -plaintext {address} schema.v1.SchemaService/Upgrade"
        )
    );

    let streamed = toy.calls.clone().watch(WatchRequest::default()).await.unwrap_err();
    assert_eq!(reason(&streamed), "SCHEMA_NOT_AT_HEAD");
}

#[tokio::test]
async fn head_alone_does_not_open_where_the_required_revision_is_missing() {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url).requires("0004").built_with("0004")).await;

    let refused = told(&toy, "SCHEMA_NOT_AT_HEAD").await;
    assert!(refused.message().contains("deploy a schema service that holds 0004"), "{refused}");
}

#[tokio::test]
async fn a_running_operation_and_a_failed_one_are_told_apart() {
    let mut state = at("0001");
    state.set_status(Status::Migrating);
    let fake = Fake::saying(state.clone());
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    let refused = told(&toy, "SCHEMA_NOT_AT_HEAD").await;
    assert!(refused.message().contains("an operation is running"), "{refused}");

    state.set_status(Status::Failed);
    state.message = "0002 failed: line 3: disk full".into();
    fake.say(state);
    let refused = told_words(&toy, "STATUS_FAILED").await;
    assert!(refused.message().contains("0002 failed: line 3: disk full"), "{refused}");
}

#[tokio::test]
async fn a_schema_service_that_never_answered_is_named_and_found_when_it_comes() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let toy = Gated::start(asking(&format!("http://{address}"))).await;

    let refused = told_words(&toy, "does not answer").await;
    assert_eq!(reason(&refused), "SCHEMA_UNREACHABLE");
    assert!(refused.message().contains(&address.to_string()), "{refused}");

    let fake = Fake::saying(at("0003"));
    let listener = TcpListener::bind(address).await.unwrap();
    let routes = tonic::service::Routes::new(
        api::schema::v1::schema_service_server::SchemaServiceServer::new(fake),
    );
    let _schema = Served::start_on(listener, routes);
    toy.opened().await;
    toy.call().await.expect("open");
}

#[tokio::test]
async fn it_opens_only_where_the_schema_service_knows_of_it() {
    let fake = Fake::saying(at("0003"));
    fake.unwatchable.store(true, Ordering::SeqCst);
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;

    let told = toy.evidence("schema", "answers, but not to Watch").await;
    assert_eq!(told.reason, "SCHEMA_UNREACHABLE");
    assert!(told.heard_at.is_some());
    told_words(&toy, "no streams here").await;

    fake.unwatchable.store(false, Ordering::SeqCst);
    toy.opened().await;
}

#[tokio::test]
async fn it_is_closed_when_it_has_ended() {
    let fake = Fake::saying(at("0003"));
    let schema = Served::fake(&fake).await;
    let toy = Gated::start(asking(&schema.url)).await;
    toy.opened().await;
    assert_eq!(fake.dependents.lock().unwrap()[0].requires, "0002");

    toy.stopping.cancel();
    toy.closed().await;
    assert_eq!(reason(&toy.call().await.unwrap_err()), "SHUTTING_DOWN");
    // The goodbye: nobody watches any more.
    tokio::time::timeout(SOON, fake.says.closed()).await.expect("the stream ends");
}

/// Calls until the refusal has a reason: the first ones may come before the gate has heard.
async fn told(toy: &Gated, wanted: &str) -> tonic::Status {
    told_by(toy, |refused| reason(refused) == wanted).await
}

async fn told_words(toy: &Gated, wanted: &str) -> tonic::Status {
    told_by(toy, |refused| refused.message().contains(wanted)).await
}

async fn told_by(toy: &Gated, wanted: impl Fn(&tonic::Status) -> bool) -> tonic::Status {
    let calling = async {
        loop {
            let refused = toy.call().await.expect_err("closed");
            if wanted(&refused) {
                return refused;
            }
        }
    };
    tokio::time::timeout(SOON, calling).await.expect("the refusal changes")
}
