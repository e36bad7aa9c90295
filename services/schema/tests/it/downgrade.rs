//! Downgrade: back, newest first, and never by accident.

use api::schema::v1::DowngradeRequest;
use testing::{Backend, apply, both, reason};
use tonic::Code;

use crate::server::{Server, event_lines, tables};

#[apply(both!)]
async fn it_reverts_newest_first(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    server.upgrade("head").await.unwrap();
    let events = server.downgrade("-2").await.unwrap();
    assert_eq!(
        event_lines(&events),
        [
            "STARTED",
            "STEP_STARTED 0003",
            "STEP_FINISHED 0003",
            "STEP_STARTED 0002",
            "STEP_FINISHED 0002",
            "FINISHED"
        ]
    );
    assert_eq!(server.current().await.revision, "0001");
    database.execute("create table b (n integer); drop table b").await;
    assert_eq!(event_lines(&server.downgrade("0001").await.unwrap()), ["FINISHED"]);
    server.downgrade("base").await.unwrap();
    assert_eq!(server.current().await.revision, "");
    server.upgrade("head").await.unwrap();
    assert!(server.current().await.at_head);
}

#[apply(both!)]
async fn a_downgrade_without_a_target_is_refused(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    let refusal = server.client().downgrade(DowngradeRequest::default()).await.unwrap_err();
    assert_eq!(
        (refusal.code(), testing::bad_fields(&refusal)),
        (Code::InvalidArgument, vec!["target".into()])
    );
    server.upgrade("0002").await.unwrap();
    for (target, code, why) in [
        ("0003", Code::FailedPrecondition, "TARGET_AHEAD"),
        ("head", Code::FailedPrecondition, "TARGET_AHEAD"),
        ("+1", Code::FailedPrecondition, "TARGET_AHEAD"),
        ("-3", Code::NotFound, "TARGET_PAST_THE_END"),
        ("1", Code::NotFound, "REVISION_UNKNOWN"),
    ] {
        let refusal = server.downgrade(target).await.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (code, why), "{target}: {refusal}");
    }
}

#[apply(both!)]
async fn an_older_build_reverts_what_a_newer_one_applied(backend: Backend) {
    let database = backend.empty().await;
    Server::holding(&database, &tables()).await.upgrade("head").await.unwrap();
    let older = Server::holding(&database, &tables()[..2]).await;
    older.downgrade("0002").await.unwrap();
    assert!(older.current().await.at_head);
    database.execute("create table c (n integer)").await;
}
