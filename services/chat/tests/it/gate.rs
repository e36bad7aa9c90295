//! The gate in front of the service, and what its errors say of the database behind.

use std::{path::Path, time::Duration};

use api::chat::v1::{ChatType, ListChatsRequest, chat_service_client::ChatServiceClient};
use chat::models::REQUIRES;
use gate::Mode;
use revisions::Revision;
use testing::{
    Backend, TestDatabase, apply, both, channel, downgrade, eventually, info, reason, retry_delay,
    upgrade,
};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::fixture::Fixture;

#[apply(both!)]
async fn it_serves_at_head_and_refuses_below(backend: Backend) {
    let fixture = Fixture::on(backend.at("0001").await).await;
    fixture.is(NotServing).await;
    for _ in 0..2 {
        upgrade(fixture.schema, "").await.unwrap();
        fixture.is(Serving).await;
        fixture.page(0, "", ChatType::Unspecified).await.unwrap();

        downgrade(fixture.schema, "base").await.unwrap();
        fixture.is(NotServing).await;
        let refused = fixture.page(0, "", ChatType::Unspecified).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(reason(&refused), "SCHEMA_NOT_AT_HEAD");
    }
}

#[apply(both!)]
async fn mode_required_opens_at_the_required_revision(backend: Backend) {
    let database = backend.at(REQUIRES).await;
    let fixture = Fixture::under(database, Some(with_a_newer_one(backend))).await;
    let mut config = fixture.config();
    config.gate = Mode::Required;
    let lenient = fixture.replica_with(config).await;
    let listed = async || {
        let mut client = ChatServiceClient::new(channel(lenient));
        client.list_chats(ListChatsRequest::default()).await
    };
    listed().await.unwrap();
    fixture.is(NotServing).await;

    // Up and down again, down to what it requires: it never minds.
    upgrade(fixture.schema, "").await.unwrap();
    fixture.is(Serving).await;
    downgrade(fixture.schema, REQUIRES).await.unwrap();
    listed().await.unwrap();

    downgrade(fixture.schema, "-1").await.unwrap();
    let refused = eventually("it is closed", async || listed().await.err()).await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason(&refused), "SCHEMA_NOT_AT_HEAD");
    assert_eq!(info(&refused, "required"), REQUIRES);
}

/// The built-in revisions, and one that a newer schema service has: to open, the gate wants that one
/// applied too, unless its mode is `required`.
fn with_a_newer_one(backend: Backend) -> Vec<Revision> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"));
    let [postgres, sqlite] = revisions::read_both(root).unwrap();
    let mut revisions = match backend {
        Backend::Postgres => postgres,
        Backend::Sqlite => sqlite,
    };
    revisions.push(Revision {
        id: "9999".into(),
        description: "newer".into(),
        up: "create table newer (n integer)".into(),
        down: "drop table newer".into(),
        transactional: true,
        compatible_from: None,
        catalog: None,
    });
    revisions
}

#[apply(both!)]
async fn a_change_of_the_schema_outside_the_schema_service_is_refused(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    fixture.page(0, "", ChatType::Unspecified).await.unwrap();
    fixture.database.execute("alter table chats rename column name to title").await;
    let refused = fixture.page(0, "", ChatType::Unspecified).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(["SCHEMA_CHANGED", "SCHEMA_MODEL_MISMATCH"].contains(&reason(&refused).as_str()));
    fixture.is(NotServing).await;
    let refused = fixture.page(0, "", ChatType::Unspecified).await.unwrap_err();
    assert_eq!(reason(&refused), "SCHEMA_MODEL_MISMATCH");
}

#[apply(both!)]
async fn another_database_is_refused(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let other = backend.at_head().await;
    let mut config = fixture.config();
    config.database = other.url().parse().unwrap();
    assert_eq!(refused_with(&fixture, config).await, "SCHEMA_OTHER_DATABASE");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_schema_of_the_same_database_is_refused() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    fixture.database.execute("create schema other").await;
    let mut config = fixture.config();
    let separator = if fixture.database.url().contains('?') { '&' } else { '?' };
    let url =
        format!("{}{separator}options=-csearch_path%3Dother%2Cpublic", fixture.database.url());
    config.database = url.parse().unwrap();
    assert_eq!(refused_with(&fixture, config).await, "SCHEMA_OTHER_DATABASE");
}

/// Of SQLite: a server cannot be put in another's place under a connection, a file can.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_database_file_is_served() {
    let fixture = Fixture::ready(Backend::Sqlite).await;
    fixture.chat("in the first file").await;
    let other = Backend::Sqlite.at_head().await;
    let path = |database: &TestDatabase| database.url().trim_start_matches("sqlite:").to_owned();
    let (file, other) = (path(&fixture.database), path(&other));
    for part in ["", "-wal", "-shm"] {
        // The last two are there while somebody writes.
        let _ = std::fs::rename(format!("{file}{part}"), format!("{file}.old{part}"));
    }
    std::fs::copy(other, &file).unwrap();
    eventually("the new file is served", async || {
        let page = fixture.page(0, "", ChatType::Unspecified).await.ok()?;
        page.chats.is_empty().then_some(())
    })
    .await;
    fixture.chat("in the second file").await;
    let written = fixture.database.column("select jid from chats").await;
    assert_eq!(written, [Some("in the second file".into())]);
}

/// Why a chat service that is configured so refuses its calls.
async fn refused_with(fixture: &Fixture, config: chat::Config) -> String {
    let address = fixture.start(config).await;
    let mut client = ChatServiceClient::new(channel(address));
    eventually("the gate has looked", async || {
        let refused = client.list_chats(ListChatsRequest::default()).await.unwrap_err();
        Some(reason(&refused)).filter(|reason| reason != "SCHEMA_UNREACHABLE")
    })
    .await
}

#[apply(both!)]
async fn without_the_schema_service_it_stays_open_up_to_the_maximum_staleness(backend: Backend) {
    let fixture = Fixture::on(backend.at_head().await).await;
    let stopping = CancellationToken::new();
    let listener = transport::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let schema_url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let config = schema::Config {
        database: fixture.database.url().parse().unwrap(),
        upgrade_on_start: false,
        revisions: None,
        step_grace: schema::STEP_GRACE,
        reflection: Default::default(),
    };
    let schema = tokio::spawn(schema::serve(config, listener, stopping.clone()));
    let mut config = chat::Config { schema_url, ..fixture.config() };
    let patient = fixture.replica_with(config.clone()).await;
    config.max_staleness = Duration::from_millis(100);
    let hasty = fixture.replica_with(config).await;
    stopping.cancel();
    schema.await.unwrap().unwrap();

    let list = async |address| {
        let mut client = ChatServiceClient::new(channel(address));
        client.list_chats(ListChatsRequest::default()).await
    };
    let refused = eventually("it is closed", async || list(hasty).await.err()).await;
    assert_eq!(reason(&refused), "SCHEMA_UNREACHABLE");
    list(patient).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_broke_is_replaced() {
    let fixture = Fixture::ready(Backend::Postgres).await;
    fixture.page(0, "", ChatType::Unspecified).await.unwrap();
    fixture
        .database
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await;
    // One call at most may meet the broken connection before it is seen.
    if let Err(refused) = fixture.page(0, "", ChatType::Unspecified).await {
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::Unavailable, "DATABASE_UNAVAILABLE")
        );
        assert!(retry_delay(&refused).is_some());
        fixture.page(0, "", ChatType::Unspecified).await.unwrap();
    }
}
