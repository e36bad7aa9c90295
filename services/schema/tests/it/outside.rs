//! Steps outside a transaction: each statement by itself, and on from the one that failed.

use api::schema::v1::Status;
use testing::{Backend, apply, both, info, reason};
use tonic::Code;

use crate::server::{Server, event_lines, outside, revision, tables};

const BROKEN: &str =
    "create table b (n integer);\ninsert into b values (1);\ninsert into d values (2);";
const MENDED: &str =
    "create table b (n integer);\ninsert into b values (1);\ninsert into b values (2);";

#[apply(both!)]
async fn a_retry_continues_at_the_statement_that_failed(backend: Backend) {
    let database = backend.empty().await;
    let with = |up| [tables()[0].clone(), outside("0002", up, "delete from b; drop table b;")];
    let server = Server::holding(&database, &with(BROKEN)).await;
    let refusal = server.upgrade("head").await.unwrap_err();
    assert_eq!(reason(&refusal), "STEP_FAILED");
    assert_eq!((info(&refusal, "statement"), info(&refusal, "line")), ("3".into(), "3".into()));
    assert!(refusal.message().contains("failed and stopped half way"), "{}", refusal.message());
    let state = server.current().await;
    assert_eq!((state.status(), state.revision.as_str()), (Status::Failed, "0001"));
    assert!(state.message.contains("2 of 3 statements"), "{}", state.message);
    let refusal = server.downgrade("base").await.unwrap_err();
    assert_eq!(
        (refusal.code(), reason(&refusal).as_str()),
        (Code::FailedPrecondition, "REVISION_HALF_DONE")
    );

    // The statements that are committed cannot change their text.
    let changed =
        "create table b (n bigint);\ninsert into b values (1);\ninsert into b values (2);";
    let refusal =
        Server::holding(&database, &with(changed)).await.upgrade("head").await.unwrap_err();
    assert!(refusal.message().contains("another text"), "{}", refusal.message());

    let server = Server::holding(&database, &with(MENDED)).await;
    let events = server.upgrade("head").await.unwrap();
    assert!(event_lines(&events).contains(&"STEP_PROGRESS 0002".into()));
    assert_eq!(database.column("select sum(n) from b").await, [Some("3".into())]);
    assert!(server.current().await.at_head);
    server.downgrade("-1").await.unwrap();
    assert_eq!(server.current().await.revision, "0001");
}

#[apply(both!)]
async fn statements_that_no_transaction_can_hold_run(backend: Backend) {
    let database = backend.empty().await;
    let (up, down) = match backend {
        Backend::Postgres => {
            ("create index concurrently ix_a on a (n); vacuum a;", "drop index concurrently ix_a;")
        }
        Backend::Sqlite => ("create index ix_a on a (n); vacuum;", "drop index ix_a; vacuum;"),
    };
    let server =
        Server::holding(&database, &[tables()[0].clone(), outside("0002", up, down)]).await;
    for _ in 0..2 {
        server.upgrade("head").await.unwrap();
        server.downgrade("-1").await.unwrap();
    }
    assert_eq!(server.current().await.revision, "0001");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_index_is_dropped_before_the_next_try() {
    let database = Backend::Postgres.empty().await;
    let unique = "create unique index concurrently if not exists ix_a on a (n);";
    let revisions = [
        revision(
            "0001",
            "create table a (n integer); insert into a values (1), (1);",
            "drop table a;",
        ),
        outside("0002", unique, "drop index concurrently ix_a;"),
    ];
    let server = Server::holding(&database, &revisions).await;
    let refusal = server.upgrade("head").await.unwrap_err();
    assert!(refusal.message().contains("could not create unique index"), "{}", refusal.message());
    assert_eq!(server.current().await.status(), Status::Failed);
    let valid = "select indisvalid from pg_index where indexrelid = 'ix_a'::regclass";
    assert_eq!(database.column(valid).await, [Some("false".into())]);
    database.execute("delete from a where ctid = (select min(ctid) from a)").await;
    server.upgrade("head").await.unwrap();
    assert_eq!(database.column(valid).await, [Some("true".into())]);
    assert!(server.current().await.at_head);
}
