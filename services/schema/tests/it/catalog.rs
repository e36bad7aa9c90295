//! The catalog as it is read from live databases, and the promises that stand in `migrations/`.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use database::{Connection, Database, with_conn};
use diesel_async::SimpleAsyncConnection as _;
use revisions::{CATALOG_FILE, Dialect, Metadata, Revision};
use schema::catalog::{self, Catalog, Drift, Promises, compare};
use testing::{Backend, TestDatabase, apply, both};

pub const fn dialect(backend: Backend) -> Dialect {
    match backend {
        Backend::Postgres => Dialect::Postgres,
        Backend::Sqlite => Dialect::Sqlite,
    }
}

fn folder(dialect: Dialect) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(dialect.folder())
}

pub fn revisions(dialect: Dialect) -> Vec<Revision> {
    revisions::read(&folder(dialect), dialect, Metadata::Required).unwrap()
}

pub fn promises(dialect: Dialect) -> Vec<Catalog> {
    let revisions = revisions(dialect);
    let promises = Promises::of(dialect, &revisions).unwrap();
    revisions.iter().map(|revision| promises.get(&revision.id).unwrap().clone()).collect()
}

async fn connection(url: &str) -> Connection {
    Database::new(&url.parse().unwrap(), "test", 1).connection().await.unwrap()
}

pub async fn live(database: &TestDatabase) -> Catalog {
    Catalog::read(&mut connection(database.url()).await).await.unwrap()
}

/// What the promise at head and a database say, after `sql` was run on it at head.
async fn drift_after(backend: Backend, sql: &str) -> Drift {
    let database = backend.at_head().await;
    database.execute(sql).await;
    compare(promises(dialect(backend)).last().unwrap(), &live(&database).await)
}

#[apply(both!)]
async fn the_files_say_what_a_fresh_database_has_after_each_revision(backend: Backend) {
    let server = backend.empty().await;
    let revisions = revisions(dialect(backend));
    let described = catalog::describe(&server.url().parse().unwrap(), &revisions).await.unwrap();
    assert_eq!(described.len(), revisions.len());
    for (revision, catalog) in revisions.iter().zip(&described) {
        let text = catalog::file_text(revision, catalog);
        assert_eq!(revision.catalog.as_deref(), Some(text.as_str()), "run `schema describe`");
    }
    assert!(live(&server).await.tables.is_empty(), "it was described in a scratch database");
}

#[apply(both!)]
async fn a_text_is_read_back_as_the_live_catalog(backend: Backend) {
    let database = backend.at_head().await;
    let live = live(&database).await;
    assert_eq!(Catalog::parse(dialect(backend), &live.to_string()), Ok(live.clone()));
    assert_eq!(compare(promises(dialect(backend)).last().unwrap(), &live), Drift::default());
}

#[apply(both!)]
async fn the_command_writes_the_files_that_differ(backend: Backend) {
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

#[test]
fn both_databases_promise_the_same_tables_and_columns() {
    let columns = |catalog: &Catalog| -> BTreeSet<(String, String, bool)> {
        let tables = catalog.tables.iter();
        tables
            .flat_map(|(table, has)| {
                has.columns.iter().map(|(name, is)| (table.clone(), name.clone(), is.not_null))
            })
            .collect()
    };
    let [postgres, sqlite] = Dialect::ALL.map(promises);
    assert_eq!(postgres.len(), sqlite.len());
    for (postgres, sqlite) in postgres.iter().zip(&sqlite) {
        assert_eq!(columns(postgres), columns(sqlite));
        assert!(columns(postgres).len() > 30);
    }
}

#[apply(both!)]
async fn what_a_service_breaks_on_is_missing(backend: Backend) {
    for (sql, what) in [
        (
            "drop index ix_chats_listing; drop index ix_chats_listing_by_type; \
             alter table chats drop column last_message_at",
            "chats.last_message_at is missing",
        ),
        ("drop table processed_messages", "table processed_messages is missing"),
        ("alter table chats rename column name to title", "chats.name is missing"),
    ] {
        let drift = drift_after(backend, sql).await;
        assert_eq!(drift.missing, [what], "{sql}");
    }
}

#[tokio::test]
async fn what_only_postgres_can_change_is_named() {
    for (sql, what) in [
        ("alter table chats alter name type text", "chats.name is text, not varchar(255)"),
        (
            "alter table chats alter name set not null",
            "chats.name is not null, and was promised nullable",
        ),
        (
            "alter table chats alter jid drop not null",
            "chats.jid is nullable, and was promised not null",
        ),
        ("alter table chats drop constraint chats_jid_key", "unique (jid) on chats is missing"),
        (
            "alter table processed_messages drop constraint uq_processed_message_bot",
            "unique (message_id, bot_id) on processed_messages is missing",
        ),
        (
            "alter type chat_type_enum rename value 'group' to 'GROUP'",
            "type chat_type_enum lacks the label 'group'",
        ),
    ] {
        let drift = drift_after(Backend::Postgres, sql).await;
        assert_eq!(drift.missing, [what], "{sql}");
        assert_eq!(drift.degraded, [""; 0], "{sql}");
    }
}

#[apply(both!)]
async fn what_a_service_runs_on_without_is_degraded(backend: Backend) {
    for (sql, what) in [
        ("drop index ix_bots_type", "index ix_bots_type is missing"),
        (
            "drop index ix_bots_type; create index ix_bots_type on bots (type, name)",
            "index ix_bots_type is (type, name), not (type)",
        ),
        // The constraint beside it still refuses duplicates.
        ("drop index ix_chats_jid", "index ix_chats_jid is missing"),
    ] {
        let drift = drift_after(backend, sql).await;
        assert_eq!(drift.degraded, [what], "{sql}");
        assert_eq!(drift.missing, [""; 0], "{sql}");
    }
}

#[tokio::test]
async fn keys_checks_and_defaults_are_degraded() {
    for (sql, what) in [
        ("alter table bots alter enabled drop default", "bots.enabled has no default true"),
        (
            "alter table bots alter enabled set default false",
            "bots.enabled has default false, not default true",
        ),
        (
            "alter table chat_bots drop constraint chat_bots_bot_id_fkey",
            "foreign key (bot_id) references bots(id) on delete cascade on chat_bots is missing",
        ),
        (
            "alter table chat_bots drop constraint chat_bots_bot_id_fkey; alter table chat_bots add \
             foreign key (bot_id) references bots(id) on delete cascade not valid",
            "foreign key (bot_id) references bots(id) on delete cascade on chat_bots is not validated",
        ),
    ] {
        let drift = drift_after(Backend::Postgres, sql).await;
        assert_eq!(drift.degraded, [what], "{sql}");
        assert_eq!(drift.missing, [""; 0], "{sql}");
    }
}

#[tokio::test]
async fn an_index_that_was_built_half_is_invalid() {
    let database = Backend::Postgres.at_head().await;
    // What a failed CREATE INDEX CONCURRENTLY leaves behind.
    database
        .execute(
            "update pg_index set indisvalid = false where indexrelid = 'ix_bots_type'::regclass",
        )
        .await;
    let drift = compare(promises(Dialect::Postgres).last().unwrap(), &live(&database).await);
    assert_eq!(drift.degraded, ["index ix_bots_type is INVALID"]);
    assert_eq!(drift.missing, [""; 0]);
}

#[apply(both!)]
async fn what_an_administrator_adds_is_extra_and_harmless(backend: Backend) {
    let drift = drift_after(
        backend,
        "create index ix_dba on chats (name); create table audit (id integer not null); \
         alter table chats add column note text; \
         alter table chats add column seen integer not null default 0; \
         create view chat_names as select name from chats",
    )
    .await;
    let extra = [
        "table audit",
        "column chats.note",
        "column chats.seen",
        "index ix_dba on chats",
        "view chat_names",
    ];
    let drift: Drift = Drift { extra: sorted(drift.extra), ..drift };
    assert_eq!(drift, Drift { extra: sorted(extra.map(String::from).into()), ..Drift::default() });
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[tokio::test]
async fn a_column_that_nobody_gives_a_value_for_breaks_inserts() {
    let drift =
        drift_after(Backend::Postgres, "alter table chats add column tenant text not null").await;
    let what = "chats.tenant is promised by no revision, and not null without a default: inserts into \
                chats fail";
    assert_eq!(drift.missing, [what]);
}

#[apply(both!)]
async fn tables_of_tools_and_our_own_are_left_out(backend: Backend) {
    let drift = drift_after(
        backend,
        "create table schemagate_operations (id integer); \
         create table alembic_version (version_num varchar(32) not null primary key)",
    )
    .await;
    assert_eq!(drift, Drift::default());
}

#[apply(both!)]
async fn a_role_that_may_only_read_reads_it_and_nothing_is_written(backend: Backend) {
    let database = backend.at_head().await;
    let url = match backend {
        Backend::Postgres => {
            // Roles are the server's: this one goes when nothing in the database is its own.
            let (server, name) = database.url().rsplit_once('/').unwrap();
            let role = name.replace("test_", "reader_");
            database.execute(&format!("create role {role} login password 'r'")).await;
            format!("postgres://{role}:r@{}/{name}", server.rsplit('@').next().unwrap())
        }
        Backend::Sqlite => format!("{}?mode=ro", database.url()),
    };
    let mut reader = connection(&url).await;
    let refused =
        with_conn!(&mut reader, c => c.batch_execute("create table t (id integer)").await);
    assert!(refused.is_err(), "it may only read");
    let read = Catalog::read(&mut reader).await.unwrap();
    assert_eq!(&read, promises(dialect(backend)).last().unwrap());
    if backend == Backend::Postgres {
        let role = database.url().rsplit('/').next().unwrap().replace("test_", "reader_");
        database.execute(&format!("drop role {role}")).await;
    }
}
