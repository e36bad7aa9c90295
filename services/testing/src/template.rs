//! Databases that are migrated once and cloned for each test: a template database on PostgreSQL,
//! the bytes of a file on SQLite.
//!
//! They are created from `migrations/` as the Diesel CLI would, without the schema service, so that
//! they do not depend on the code under test.

use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use diesel::migration::CREATE_MIGRATIONS_TABLE;
use revisions::{Metadata, Revision};
use sql::Dialect;
use tokio::sync::Mutex;

use crate::{postgres_url::with_database, session::Session};

/// The ids of the built-in revisions, oldest first; the last is head.
pub fn revisions() -> Vec<String> {
    read(Dialect::Sqlite).into_iter().map(|revision| revision.id.into_owned()).collect()
}

/// The name of the template database at a revision. The first test that needs it creates it; tests
/// of all processes wait for it.
pub(crate) async fn postgres(server: &str, revision: &str) -> String {
    let applied = up_to(Dialect::Postgres, revision);
    let name = format!("test_template_{revision}_{:016x}", digest(&applied));
    let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
    let mut session = Session::open(server).await;
    session.execute("SELECT pg_advisory_lock(hashtext('test templates'))").await;
    if session.column(&exists).await.is_empty() {
        // It gets its name when it is complete.
        let unfinished = format!("{name}_unfinished");
        session.execute(&format!("DROP DATABASE IF EXISTS {unfinished}")).await;
        session.execute(&format!("CREATE DATABASE {unfinished}")).await;
        migrate(Dialect::Postgres, &with_database(server, &unfinished), &applied).await;
        session.execute(&format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
    }
    name
}

/// The bytes of a file at a revision, created once in each process.
pub(crate) async fn sqlite(revision: &str) -> Vec<u8> {
    static FILES: Mutex<Option<HashMap<String, Vec<u8>>>> = Mutex::const_new(None);
    let mut files = FILES.lock().await;
    let files = files.get_or_insert_default();
    if let Some(bytes) = files.get(revision) {
        return bytes.clone();
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let url = format!("sqlite:{}", file.path().display());
    migrate(Dialect::Sqlite, &url, &up_to(Dialect::Sqlite, revision)).await;
    let bytes = fs::read(file.path()).expect("the file is there");
    files.insert(revision.into(), bytes.clone());
    bytes
}

async fn migrate(dialect: Dialect, url: &str, applied: &[Revision]) {
    let mut session = Session::open(url).await;
    session.execute(CREATE_MIGRATIONS_TABLE).await;
    for Revision { id, up, .. } in applied {
        for statement in sql::split(dialect, up) {
            session.execute(statement.text).await;
        }
        let row = format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{id}')");
        session.execute(&row).await;
    }
}

fn up_to(dialect: Dialect, revision: &str) -> Vec<Revision> {
    let mut revisions = read(dialect);
    let last = revisions.iter().position(|held| held.id == revision);
    revisions.truncate(1 + last.unwrap_or_else(|| panic!("unknown revision {revision}")));
    revisions
}

fn read(dialect: Dialect) -> Vec<Revision> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    revisions::read(&root.join(dialect.folder()), dialect, Metadata::Required)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Distinguishes templates of different texts: a server may be used again after an edit.
fn digest(revisions: &[Revision]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for revision in revisions {
        revision.checksum().hash(&mut hasher);
    }
    hasher.finish()
}
