//! What is read from a live database.

use catalog::{Catalog, Drift, compare};
use database::with_conn;
use diesel_async::SimpleAsyncConnection as _;
use testing::{Backend, apply, both};

use crate::{connection, dialect, expected_at_head, live};

#[apply(both!)]
async fn a_live_catalog_is_read_back_from_its_text(backend: Backend) {
    let live = live(&backend.at_head().await).await;
    assert_eq!(Catalog::parse(dialect(backend), &live.to_string()), Ok(live.clone()));
    assert_eq!(compare(&expected_at_head(backend), &live), Drift::default());
}

#[apply(both!)]
async fn bookkeeping_tables_are_left_out(backend: Backend) {
    let database = backend.at_head().await;
    database
        .execute(
            "create table schemagate_operations (id integer); \
             create table alembic_version (version_num varchar(32) not null primary key)",
        )
        .await;
    assert_eq!(live(&database).await, expected_at_head(backend));
}

#[apply(both!)]
async fn a_role_that_may_only_read_can_read_the_catalog(backend: Backend) {
    let database = backend.at_head().await;
    let url = match backend {
        Backend::Postgres => {
            // Roles belong to the server: this one is dropped once it owns nothing.
            let (server, name) = database.url().rsplit_once('/').unwrap();
            let role = name.replace("test_", "reader_");
            database.execute(&format!("create role {role} login password 'r'")).await;
            format!("postgres://{role}:r@{}/{name}", server.rsplit('@').next().unwrap())
        }
        Backend::Sqlite => format!("{}?mode=ro", database.url()),
    };
    let mut reader = connection(&url).await;
    let write = with_conn!(&mut reader, c => c.batch_execute("create table t (id integer)").await);
    assert!(write.is_err());
    assert_eq!(Catalog::read(&mut reader).await.unwrap(), expected_at_head(backend));
    if backend == Backend::Postgres {
        let role = database.url().rsplit('/').next().unwrap().replace("test_", "reader_");
        database.execute(&format!("drop role {role}")).await;
    }
}
