//! The built-in revisions with their catalogs, and the catalogs of live databases.

use std::{fs, path::PathBuf, process::Command};

use catalog::{Catalog, ExpectedCatalogs};
use database::Database;
use revisions::{CATALOG_FILE, Metadata, Revision};
use sql::Dialect;
use testing::{Backend, TestDatabase, apply, both};

pub const fn dialect(backend: Backend) -> Dialect {
    match backend {
        Backend::Postgres => Dialect::Postgres,
        Backend::Sqlite => Dialect::Sqlite,
    }
}

pub fn revisions(dialect: Dialect) -> Vec<Revision> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    revisions::read(&folder.join(dialect.folder()), dialect, Metadata::Required).unwrap()
}

/// The catalog of each built-in revision, oldest first.
pub fn expected(dialect: Dialect) -> Vec<Catalog> {
    let revisions = revisions(dialect);
    let expected = ExpectedCatalogs::parse(dialect, &revisions).unwrap();
    revisions.iter().map(|revision| expected.get(&revision.id).unwrap().clone()).collect()
}

pub async fn live(database: &TestDatabase) -> Catalog {
    let database = Database::new(&database.url().parse().unwrap(), "test", 1);
    Catalog::read(&mut database.connection().await.unwrap()).await.unwrap()
}

#[apply(both!)]
async fn describe_writes_the_files_that_differ(backend: Backend) {
    let server = backend.empty().await;
    let root = tempfile::tempdir().unwrap();
    let revisions = revisions(dialect(backend));
    // Diesel leaves dashes out of a version.
    for (revision, name) in revisions.iter().zip(["0001_a", "00-02_b", "0003_c"]) {
        let directory = root.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("up.sql"), revision.up.as_ref()).unwrap();
        fs::write(directory.join("down.sql"), revision.down.as_ref()).unwrap();
        fs::write(directory.join(CATALOG_FILE), revision.catalog.as_deref().unwrap()).unwrap();
    }
    let file = root.path().join("00-02_b").join(CATALOG_FILE);
    for stale in ["table stale", ""] {
        fs::write(&file, stale).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_schema"))
            .args(["describe", "--database-url", server.url()])
            .arg(root.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{}\n", file.display()));
        assert_eq!(fs::read_to_string(&file).ok().as_deref(), revisions[1].catalog.as_deref());
    }
}
