//! Databases that were migrated once and are cloned for each test: on PostgreSQL a template of
//! the server's, on SQLite a file's bytes.
//!
//! They are made from `migrations/` without the schema service, so that its own mistakes cannot
//! hide in them, and hold what the Diesel CLI would leave.

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

use crate::{database::with_database, session::Session};

/// The built-in revisions, oldest first: the last is head.
pub fn revisions() -> Vec<String> {
    read(Dialect::Sqlite).into_iter().map(|revision| revision.id.into_owned()).collect()
}

/// The name of the server's template at a revision. The first test that asks makes it, whichever
/// process it runs in; the others wait for it.
pub(crate) async fn postgres(server: &str, revision: &str) -> String {
    let applied = up_to(Dialect::Postgres, revision);
    let name = format!("test_template_{revision}_{:016x}", digest(&applied));
    let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
    let mut session = Session::open(server).await;
    session.execute("SELECT pg_advisory_lock(hashtext('test templates'))").await;
    if session.column(&exists).await.is_empty() {
        // Under its own name only when it is whole.
        let unfinished = format!("{name}_unfinished");
        session.execute(&format!("DROP DATABASE IF EXISTS {unfinished}")).await;
        session.execute(&format!("CREATE DATABASE {unfinished}")).await;
        migrate(Dialect::Postgres, &with_database(server, &unfinished), &applied).await;
        session.execute(&format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
    }
    name
}

/// The bytes of a file at a revision, made once in each process.
pub(crate) async fn sqlite(revision: &str) -> Vec<u8> {
    static MADE: Mutex<Option<HashMap<String, Vec<u8>>>> = Mutex::const_new(None);
    let mut made = MADE.lock().await;
    let made = made.get_or_insert_default();
    if let Some(bytes) = made.get(revision) {
        return bytes.clone();
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let url = format!("sqlite:{}", file.path().display());
    migrate(Dialect::Sqlite, &url, &up_to(Dialect::Sqlite, revision)).await;
    let bytes = fs::read(file.path()).expect("the file is there");
    made.insert(revision.into(), bytes.clone());
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
    revisions.truncate(1 + last.unwrap_or_else(|| panic!("there is no revision {revision}")));
    revisions
}

fn read(dialect: Dialect) -> Vec<Revision> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    revisions::read(&root.join(dialect.folder()), dialect, Metadata::Required)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Tells templates of other texts apart: a server may be used again after an edit.
fn digest(revisions: &[Revision]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for revision in revisions {
        revision.checksum().hash(&mut hasher);
    }
    hasher.finish()
}
