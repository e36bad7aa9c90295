//! Catalogs read from live databases, against the `catalog.txt` of each built-in revision.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod comparing;
mod describing;
mod reading;

use std::path::PathBuf;

use catalog::{Catalog, ExpectedCatalogs};
use database::{Connection, Database};
use revisions::{Metadata, Revision};
use sql::Dialect;
use testing::{Backend, TestDatabase};

const fn dialect(backend: Backend) -> Dialect {
    match backend {
        Backend::Postgres => Dialect::Postgres,
        Backend::Sqlite => Dialect::Sqlite,
    }
}

fn revisions(dialect: Dialect) -> Vec<Revision> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    revisions::read(&folder.join(dialect.folder()), dialect, Metadata::Required).unwrap()
}

/// The catalog of each built-in revision, oldest first.
fn expected(dialect: Dialect) -> Vec<Catalog> {
    let revisions = revisions(dialect);
    let expected = ExpectedCatalogs::parse(dialect, &revisions).unwrap();
    revisions.iter().map(|revision| expected.get(&revision.id).unwrap().clone()).collect()
}

fn expected_at_head(backend: Backend) -> Catalog {
    expected(dialect(backend)).pop().unwrap()
}

async fn connection(url: &str) -> Connection {
    Database::new(&url.parse().unwrap(), "test", 1).connection().await.unwrap()
}

async fn live(database: &TestDatabase) -> Catalog {
    Catalog::read(&mut connection(database.url()).await).await.unwrap()
}
