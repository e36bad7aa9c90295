//! The layout of the bookkeeping tables: an older one is migrated in place, a newer one is refused.

use api::schema::v1::{
    Dependent, ListOperationsRequest, RepairRequest, StampRequest, Status, WatchRequest,
};
use testing::{Backend, TestDatabase, apply, both, info, reason};
use tonic::Code;

use crate::server::{Server, tables};

/// The version that this build records.
const CURRENT_VERSION: &str = "2";

async fn one(database: &TestDatabase, sql: &str) -> String {
    database.column(sql).await.remove(0).unwrap()
}

/// A database at 0001 as commit 865dd92 leaves it: version 1, which has no record.
async fn without_a_record(backend: Backend) -> TestDatabase {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    server.upgrade("0001").await.unwrap();
    server.stop().await;
    database.execute("drop table schemagate_bookkeeping").await;
    database
}

async fn recorded(database: &TestDatabase) -> Vec<Option<String>> {
    database.column("select version from schemagate_bookkeeping order by version").await
}

#[apply(both!)]
async fn a_database_without_a_version_is_migrated_in_place(backend: Backend) {
    let database = without_a_record(backend).await;
    // Builds before 865dd92 did not have this table either.
    database.execute("drop table schemagate_forced").await;
    let server = Server::holding(&database, &tables()).await;
    assert_eq!(server.current().await.revision, "0001");
    let tables = match backend {
        Backend::Postgres => "select to_regclass('schemagate_bookkeeping')::text",
        Backend::Sqlite => {
            "select max(name) from sqlite_schema where name = 'schemagate_bookkeeping'"
        }
    };
    assert_eq!(database.column(tables).await, [None], "reading migrates nothing");

    server.upgrade("0002").await.unwrap();
    assert_eq!(recorded(&database).await, [Some(CURRENT_VERSION.into())]);
    assert_eq!(one(&database, "select count(*) from schemagate_operations").await, "2");
    assert_eq!(one(&database, "select count(*) from schemagate_steps").await, "2");
    assert_eq!(one(&database, "select count(*) from schemagate_forced").await, "0");
}

#[apply(both!)]
async fn two_servers_migrate_once(backend: Backend) {
    let database = without_a_record(backend).await;
    let servers =
        [Server::holding(&database, &tables()).await, Server::holding(&database, &tables()).await];
    let (one, two) = tokio::join!(servers[0].upgrade("head"), servers[1].upgrade("head"));
    one.unwrap();
    two.unwrap();
    assert_eq!(servers[0].current().await.revision, "0003");
    assert_eq!(recorded(&database).await, [Some(CURRENT_VERSION.into())]);
}

#[apply(both!)]
async fn a_newer_layout_is_refused_before_anything_is_written(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    server.upgrade("0001").await.unwrap();
    let newer = "insert into schemagate_bookkeeping (version, build) values (99, '9.9.9')";
    database.execute(newer).await;

    let stamp = StampRequest { revision: "0003".into(), force: true };
    let repair = RepairRequest { revision: "0001".into() };
    for refused in [
        server.upgrade("head").await.unwrap_err(),
        server.downgrade("base").await.unwrap_err(),
        server.client().stamp(stamp).await.unwrap_err(),
        server.client().repair(repair).await.unwrap_err(),
    ] {
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::FailedPrecondition, "BOOKKEEPING_NEWER".into())
        );
        assert_eq!(
            (info(&refused, "layout"), info(&refused, "build")),
            ("99".into(), "9.9.9".into())
        );
        assert!(refused.message().contains("deploy schema 9.9.9"), "{refused}");
    }
    let dependent = Dependent {
        service: "chat".into(),
        instance: "one".into(),
        requires: "0001".into(),
        ..Dependent::default()
    };
    let request = WatchRequest { dependent: Some(dependent) };
    let mut watch = server.client().watch(request).await.unwrap().into_inner();
    let state = watch.message().await.unwrap().unwrap().state.unwrap();
    assert_eq!((state.revision.as_str(), state.status()), ("0001", Status::Behind));

    // Nothing was written, and everything is still read.
    for (count, table) in [("1", "operations"), ("1", "steps"), ("0", "dependents")] {
        let rows = format!("select count(*) from schemagate_{table}");
        assert_eq!(one(&database, &rows).await, count, "{table}");
    }
    let listed = server.client().list_operations(ListOperationsRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().operations.len(), 1);
    // Nothing to do needs no lock.
    server.upgrade("0001").await.unwrap();
    server.stop().await;

    // A server that starts beside a dead one leaves the record to the newer build.
    database.execute("update schemagate_operations set outcome = 'running'").await;
    let server = Server::holding(&database, &tables()).await;
    assert_eq!(server.current().await.revision, "0001");
    assert_eq!(one(&database, "select outcome from schemagate_operations").await, "running");
}
