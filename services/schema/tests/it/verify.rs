//! Verify, and the drift that Current reports.

use std::time::Duration;

use api::schema::v1::{Drift, Status, VerifyRequest, WatchRequest};
use testing::{Backend, apply, both, reason};
use tonic::Code;

use crate::server::{Server, tables};

/// What stands in the way of dropping a column on SQLite goes first.
const DROP_COLUMN: &str = "drop index ix_chats_listing; drop index ix_chats_listing_by_type; \
                           alter table chats drop column last_message_at";

async fn verify(server: &Server) -> Drift {
    let response = server.client().verify(VerifyRequest {}).await;
    response.unwrap().into_inner().drift.unwrap()
}

#[apply(both!)]
async fn a_dropped_column_is_drift_and_not_at_head(backend: Backend) {
    let database = backend.at_head().await;
    let server = Server::start(&database).await;
    assert_eq!(server.current().await.status(), Status::AtHead);
    let mut watch = server.client().watch(WatchRequest::default()).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap().state.unwrap();
    assert!(first.at_head);

    database.execute(DROP_COLUMN).await;
    let drift = verify(&server).await;
    assert_eq!(drift.missing, ["column chats.last_message_at is missing"]);
    assert!(drift.checked_at.is_some());
    let state = server.current().await;
    assert_eq!((state.status(), state.at_head), (Status::Drifted, false));
    assert_eq!(state.drift.as_ref(), Some(&drift));
    assert!(state.message.contains("chats.last_message_at is missing"), "{}", state.message);
    let pushed = watch.message().await.unwrap().unwrap().state.unwrap();
    assert_eq!(pushed.status(), Status::Drifted);

    database.execute("alter table chats add column last_message_at text").await;
    let missing = verify(&server).await.missing;
    match backend {
        Backend::Postgres => {
            assert_eq!(missing, ["column chats.last_message_at is text, expected timestamptz"]);
        }
        Backend::Sqlite => assert_eq!(server.current().await.status(), Status::AtHead),
    }
}

#[apply(both!)]
async fn a_starting_server_reports_drift(backend: Backend) {
    let database = backend.at_head().await;
    database.execute(DROP_COLUMN).await;
    let state = Server::start(&database).await.current().await;
    assert_eq!(state.status(), Status::Drifted);
    let degraded = state.drift.unwrap().degraded;
    assert_eq!(
        degraded,
        [
            "index ix_chats_listing on chats is missing",
            "index ix_chats_listing_by_type on chats is missing",
        ]
    );
}

#[apply(both!)]
async fn degraded_and_extra_differences_keep_the_schema_at_head(backend: Backend) {
    let database = backend.at_head().await;
    database
        .execute(
            "drop index ix_bots_type; create index ix_dba on chats (name); \
             create table audit (id integer not null); alter table chats add column note text",
        )
        .await;
    let server = Server::start(&database).await;
    let drift = verify(&server).await;
    assert_eq!(drift.missing, [""; 0]);
    assert_eq!(drift.degraded, ["index ix_bots_type on bots is missing"]);
    assert_eq!(drift.extra, ["column chats.note", "index ix_dba on chats", "table audit"]);
    let state = server.current().await;
    assert_eq!((state.status(), state.message.as_str()), (Status::AtHead, ""));
}

#[tokio::test]
async fn a_catalog_check_does_not_wait_for_locks() {
    let database = Backend::Postgres.at_head().await;
    database.execute("create view names as select name from chats").await;
    let server = Server::start(&database).await;
    let mut session = database.session().await;
    session.execute("begin; lock table names, chats in access exclusive mode").await;
    // To describe a view, PostgreSQL locks it.
    let state = tokio::time::timeout(Duration::from_secs(2), server.current()).await.unwrap();
    assert_eq!((state.status(), state.drift), (Status::AtHead, None));
    let refusal = server.client().verify(VerifyRequest {}).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable);
    session.execute("rollback").await;
    assert_eq!(verify(&server).await.extra, ["view names"]);
}

#[apply(both!)]
async fn each_revision_is_compared_with_its_own_catalog(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::start(&database).await;
    assert_eq!(Drift { checked_at: None, ..verify(&server).await }, Drift::default());
    for revision in ["0001", "0002", "0003"] {
        server.upgrade(revision).await.unwrap();
        let drift = server.current().await.drift.unwrap();
        assert_eq!(Drift { checked_at: None, ..drift }, Drift::default(), "{revision}");
    }
}

#[apply(both!)]
async fn a_revision_without_a_catalog_cannot_be_verified(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    server.upgrade("head").await.unwrap();
    let refusal = server.client().verify(VerifyRequest {}).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refusal), "CATALOG_NOT_DESCRIBED");
    assert_eq!(server.current().await.status(), Status::AtHead);
}

#[tokio::test]
async fn a_locked_table_is_reported_as_a_lock() {
    let database = Backend::Postgres.at_head().await;
    let server = Server::start(&database).await;
    let view = "create view v as select id from chats";
    database.execute(view).await;
    let mut session = database.session().await;
    session.execute("begin; lock table v in access exclusive mode").await;
    let refusal = server.client().verify(VerifyRequest {}).await.unwrap_err();
    assert_eq!(
        (refusal.code(), reason(&refusal).as_str()),
        (Code::Unavailable, "DATABASE_UNREADABLE")
    );
    assert!(refusal.message().contains("lock timeout"), "{}", refusal.message());
}
