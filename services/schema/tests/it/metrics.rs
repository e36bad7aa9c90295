//! What a scrape of the schema service says.

use std::net::SocketAddr;

use api::schema::v1::{
    Dependent, VerifyRequest, WatchRequest, schema_service_client::SchemaServiceClient,
};
use testing::{
    Backend, Process, Scrape, TestDatabase, apply, both, channel, eventually, revisions, upgrade,
};

const LOOPBACK: &str = "127.0.0.1:0";

/// A schema service that can be scraped: where it is called, and where it is scraped.
async fn scraped(database: &TestDatabase) -> (Process, SocketAddr, SocketAddr) {
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_METRICS_LISTEN", LOOPBACK)];
    let mut process = Process::start(env!("CARGO_BIN_EXE_schema"), &["serve"], &env);
    let (calls, scrapes) =
        (process.address("schema").await, process.address("schema-metrics").await);
    (process, calls, scrapes)
}

#[apply(both!)]
async fn metrics_report_the_state_and_the_operations(backend: Backend) {
    let database = backend.empty().await;
    let (_process, calls, scrapes) = scraped(&database).await;
    let revisions = revisions();
    let head = revisions.last().unwrap();

    let empty = Scrape::of(scrapes).await;
    assert_eq!(empty.value("schema_readable"), 1.0);
    assert_eq!(empty.value("schema_at_head"), 0.0);
    assert_eq!(empty.value("schema_status{status=\"EMPTY\"}"), 1.0);
    assert_eq!(empty.value("schema_status{status=\"AT_HEAD\"}"), 0.0);
    assert_eq!(empty.value("schema_pending"), revisions.len() as f64);
    assert_eq!(empty.value(&format!("schema_revision{{revision=\"\",head=\"{head}\"}}")), 1.0);
    let upgrades = "schema_operations_total{kind=\"upgrade\",outcome=\"succeeded\"}";
    assert_eq!(empty.value(upgrades), 0.0);

    upgrade(calls, "").await.unwrap();
    upgrade(calls, "0001").await.unwrap_err();
    let at_head = Scrape::of(scrapes).await;
    assert_eq!(at_head.value("schema_at_head"), 1.0);
    assert_eq!(at_head.value("schema_pending"), 0.0);
    let revision = format!("schema_revision{{revision=\"{head}\",head=\"{head}\"}}");
    assert_eq!(at_head.value(&revision), 1.0);
    assert_eq!(at_head.value(upgrades), 1.0, "one that was refused was none");
    let steps = "schema_step_duration_seconds_count{direction=\"up\"}";
    assert_eq!(at_head.value(steps), revisions.len() as f64);
    assert_eq!(at_head.value("schema_dependents"), 0.0);
    assert_eq!(at_head.value("schema_drift{kind=\"missing\"}"), 0.0);
    for (code, count) in [("OK", 1.0), ("INVALID_ARGUMENT", 0.0), ("FAILED_PRECONDITION", 1.0)] {
        let labels = format!(
            "rpc_duration_seconds_count{{service=\"schema.v1.SchemaService\",method=\"Upgrade\",code=\"{code}\"}}"
        );
        assert_eq!(at_head.get(&labels).unwrap_or_default(), count, "{}", at_head.text);
    }
}

#[apply(both!)]
async fn metrics_report_dependents_and_drift(backend: Backend) {
    let database = backend.at_head().await;
    let (_process, calls, scrapes) = scraped(&database).await;
    // The bookkeeping's tables are made by the first operation.
    let mut client = SchemaServiceClient::new(channel(calls));
    testing::downgrade(calls, "-1").await.unwrap();
    upgrade(calls, "").await.unwrap();
    let dependent = Dependent {
        service: "s3cret".into(),
        instance: "t0ken".into(),
        requires: "0001".into(),
        ..Dependent::default()
    };
    let watch = client.watch(WatchRequest { dependent: Some(dependent) }).await.unwrap();
    database.execute("alter table chats rename column name to title").await;
    client.verify(VerifyRequest {}).await.unwrap();

    let scrape = eventually("the dependent is registered", async || {
        let scrape = Scrape::of(scrapes).await;
        (scrape.value("schema_dependents") == 1.0).then_some(scrape)
    })
    .await;
    assert_eq!(scrape.value("schema_status{status=\"DRIFTED\"}"), 1.0);
    assert!(scrape.value("schema_drift{kind=\"missing\"}") > 0.0);
    assert!(scrape.value("schema_drift{kind=\"extra\"}") > 0.0);
    let under_way = "rpc_under_way{service=\"schema.v1.SchemaService\",method=\"Watch\"}";
    assert_eq!(scrape.value(under_way), 1.0);
    drop(watch);
    eventually("the dependent is gone", async || {
        (Scrape::of(scrapes).await.value("schema_dependents") == 0.0).then_some(())
    })
    .await;

    let text = Scrape::of(scrapes).await.text;
    for secret in [database.url(), "s3cret", "t0ken"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn metrics_of_an_unreadable_database_are_not_stale() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.db");
    let url = format!("sqlite:{}", file.display());
    let env = [("DATABASE_URL", url.as_str()), ("SCHEMA_METRICS_LISTEN", LOOPBACK)];
    let mut process = Process::start(env!("CARGO_BIN_EXE_schema"), &["serve"], &env);
    let scrapes = process.address("schema-metrics").await;
    assert_eq!(Scrape::of(scrapes).await.value("schema_readable"), 1.0);
    std::fs::write(&file, "not a database, and long enough to be read as one".repeat(99)).unwrap();
    let scrape = Scrape::of(scrapes).await;
    assert_eq!(scrape.value("schema_readable"), 0.0, "{}", scrape.text);
    assert_eq!(scrape.get("schema_at_head"), None);
}
