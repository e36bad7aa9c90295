//! Databases that something else made: Alembic's, the ORM's, and the statements of
//! docs/MIGRATIONS.md that bring the latter to a revision.

use api::schema::v1::{ListOperationsRequest, SchemaState, StampRequest, Status, operation::Kind};
use testing::{Backend, TestDatabase, apply, both, reason};
use tonic::Code;

use crate::{
    catalogs::{dialect, revisions},
    server::{Server, tables},
};

const DOCUMENT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/MIGRATIONS.md"));

/// The SQL below a heading of the document, one text a block.
fn blocks(heading: &str) -> Vec<&'static str> {
    let section = DOCUMENT.split("\n#### ").find_map(|section| section.strip_prefix(heading));
    assert!(section.is_some(), "docs/MIGRATIONS.md has no '{heading}'");
    let section = section.unwrap().split("\n## ").next().unwrap();
    section.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// What the document says to run.
fn statements(backend: Backend, revision: &str) -> Vec<&'static str> {
    let [first, second] = match backend {
        Backend::Postgres => ["PostgreSQL, to 0001", "PostgreSQL, to 0002"],
        Backend::Sqlite => ["SQLite, to 0001", "SQLite, to 0002"],
    };
    match revision {
        "0001" => blocks(first),
        _ => blocks(first).into_iter().take(1).chain(blocks(second)).collect(),
    }
}

async fn made_by_the_orm(backend: Backend) -> TestDatabase {
    let database = backend.empty().await;
    let fixture = match backend {
        Backend::Postgres => include_str!("fixtures/orm.postgres.sql"),
        Backend::Sqlite => include_str!("fixtures/orm.sqlite.sql"),
    };
    database.execute(fixture).await;
    database
}

/// With the column that the ORM has on some databases, its values in UTC.
async fn with_last_message_at(database: &TestDatabase, backend: Backend) {
    let type_name = match backend {
        Backend::Postgres => "timestamp without time zone",
        Backend::Sqlite => "DATETIME",
    };
    let add = format!("alter table chats add column last_message_at {type_name};");
    let fill = "update chats set last_message_at = '2024-06-07 08:09:10.123456' where id = 'c1'";
    database.execute(&format!("{add}{fill}")).await;
}

async fn stamp(server: &Server, revision: &str, force: bool) -> Result<SchemaState, tonic::Status> {
    let request = StampRequest { revision: revision.into(), force };
    Ok(server.client().stamp(request).await?.into_inner().state.unwrap())
}

#[apply(both!)]
async fn a_database_of_the_orm_is_adopted_by_the_documented_statements(backend: Backend) {
    let database = made_by_the_orm(backend).await;
    let server = Server::start(&database).await;
    let state = server.current().await;
    assert_eq!((state.status(), state.revision.as_str()), (Status::Unmanaged, ""));
    let mut differences = vec!["nearest to that of 0001", "unique (jid) on chats is missing"];
    if backend == Backend::Postgres {
        differences.push("label 'private' of type chat_type_enum is missing");
        differences.push("label 'cron' of type schedule_type_enum is missing");
    }
    for difference in &differences {
        assert!(state.message.contains(difference), "{difference}: {}", state.message);
    }

    let refusal = server.upgrade("head").await.unwrap_err();
    assert_eq!((refusal.code(), reason(&refusal).as_str()), UNMANAGED);
    assert!(refusal.message().contains("\"schema stamp 0001\""), "{}", refusal.message());
    let refusal = stamp(&server, "0001", false).await.unwrap_err();
    assert_eq!((refusal.code(), reason(&refusal).as_str()), DIFFERS);
    for difference in &differences[1..] {
        assert!(refusal.message().contains(difference), "{difference}: {}", refusal.message());
    }

    for block in statements(backend, "0001") {
        database.execute(block).await;
    }
    let state = server.current().await;
    assert!(state.message.contains("\"schema stamp 0001\" to adopt it"), "{}", state.message);
    let refusal = stamp(&server, "0002", false).await.unwrap_err();
    assert_eq!((refusal.code(), reason(&refusal).as_str()), DIFFERS);
    let words = refusal.message();
    assert!(words.contains("chats.last_message_at is missing"), "{words}");
    assert!(words.contains("\"schema stamp 0001\", whose catalog it is"), "{words}");

    let state = stamp(&server, "0001", false).await.unwrap();
    assert_eq!((state.status(), state.revision.as_str()), (Status::Behind, "0001"));
    let drift = state.drift.unwrap();
    assert_eq!((drift.missing, drift.degraded, drift.extra), Default::default());
    server.upgrade("head").await.unwrap();
    assert_eq!(server.current().await.status(), Status::AtHead);
    assert_rows_are_readable(&database).await;
}

const UNMANAGED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_UNMANAGED");
const DIFFERS: (Code, &str) = (Code::FailedPrecondition, "CATALOG_DIFFERS");

#[apply(both!)]
async fn a_column_of_the_orm_without_a_time_zone_keeps_its_values(backend: Backend) {
    let database = made_by_the_orm(backend).await;
    with_last_message_at(&database, backend).await;
    for block in statements(backend, "0002") {
        database.execute(block).await;
    }
    let server = Server::start(&database).await;
    let state = server.current().await;
    assert!(state.message.contains("\"schema stamp 0002\" to adopt it"), "{}", state.message);
    // Its Upgrade would collide with the column.
    let refusal = stamp(&server, "0001", false).await.unwrap_err();
    assert_eq!((refusal.code(), reason(&refusal).as_str()), DIFFERS);
    let words = refusal.message();
    assert!(
        words.contains("chats.last_message_at exists already, and revision 0002 would"),
        "{words}"
    );

    stamp(&server, "0002", false).await.unwrap();
    server.upgrade("head").await.unwrap();
    let state = server.current().await;
    assert_eq!(state.status(), Status::AtHead);
    let drift = state.drift.unwrap();
    assert_eq!((drift.missing, drift.degraded, drift.extra), Default::default());
    assert_rows_are_readable(&database).await;
    let last = match backend {
        Backend::Postgres => "select last_message_at at time zone 'UTC' from chats where id = 'c1'",
        Backend::Sqlite => "select last_message_at from chats where id = 'c1'",
    };
    assert_eq!(database.column(last).await, [Some("2024-06-07 08:09:10.123456".into())]);
}

async fn assert_rows_are_readable(database: &TestDatabase) {
    let some = |texts: &[&str]| texts.iter().map(|text| Some((*text).into())).collect::<Vec<_>>();
    for (query, values) in [
        ("select chat_type from chats where id <> 'c3' order by id", some(&["private", "group"])),
        ("select schedule_type from scheduled_messages", some(&["cron"])),
        ("select id from bots where enabled order by id", some(&["b1"])),
        ("select id from bots where not enabled", some(&["b2"])),
        ("select id from chat_bots where enabled", some(&["cb1"])),
        ("select id from chat_bots where not enabled", some(&["cb2"])),
        ("select id from scheduled_messages where enabled", some(&["s1"])),
        ("select id from processed_messages where chat_id = 'c1'", some(&["p1"])),
    ] {
        assert_eq!(database.column(query).await, values, "{query}");
    }
}

#[tokio::test]
async fn texts_in_boolean_columns_prevent_a_stamp() {
    let database = made_by_the_orm(Backend::Sqlite).await;
    let chats = statements(Backend::Sqlite, "0001")[1];
    database.execute(chats).await;
    let server = Server::start(&database).await;
    let refusal = stamp(&server, "0001", false).await.unwrap_err();
    assert_eq!((refusal.code(), reason(&refusal).as_str()), DIFFERS);
    assert!(refusal.message().contains("bots.enabled holds texts"), "{}", refusal.message());
}

#[apply(both!)]
async fn a_forced_stamp_can_be_undone(backend: Backend) {
    let database = made_by_the_orm(backend).await;
    let server = Server::start(&database).await;
    let state = stamp(&server, "0002", true).await.unwrap();
    assert_eq!((state.status(), state.revision.as_str()), (Status::Behind, "0002"));
    let missing = state.drift.unwrap().missing;
    assert!(missing.contains(&"column chats.last_message_at is missing".into()), "{missing:?}");
    let versions = "select version from __diesel_schema_migrations order by 1";
    assert_eq!(database.column(versions).await, [Some("0001".into()), Some("0002".into())]);

    let state = stamp(&server, "base", false).await.unwrap();
    assert_eq!((state.status(), state.revision.as_str()), (Status::Unmanaged, ""));
    assert_eq!(database.column(versions).await, []);
    assert_eq!(database.column("select id from bots").await.len(), 2, "no table was touched");
    let log = server.client().list_operations(ListOperationsRequest::default()).await.unwrap();
    let stamps: Vec<(&str, &str, Kind)> = log
        .get_ref()
        .operations
        .iter()
        .map(|one| (one.from_revision.as_str(), one.to_revision.as_str(), one.kind()))
        .collect();
    assert_eq!(stamps, [("0002", "", Kind::Stamp), ("", "0002", Kind::Stamp)]);
}

#[apply(both!)]
async fn invalid_stamps_are_refused(backend: Backend) {
    let database = backend.at("0002").await;
    let server = Server::start(&database).await;
    for (revision, code, why) in [
        ("", Code::InvalidArgument, "REVISION_REQUIRED"),
        ("florble", Code::InvalidArgument, "TARGET_MALFORMED"),
        ("+1", Code::InvalidArgument, "TARGET_RELATIVE"),
        ("000", Code::InvalidArgument, "TARGET_AMBIGUOUS"),
        ("0009", Code::NotFound, "REVISION_UNKNOWN"),
        ("0001", Code::FailedPrecondition, "CATALOG_DIFFERS"),
        ("head", Code::FailedPrecondition, "CATALOG_DIFFERS"),
    ] {
        let refusal = stamp(&server, revision, false).await.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (code, why), "{revision}");
    }
    // It is there already: nothing is written.
    assert_eq!(stamp(&server, "0002", false).await.unwrap().epoch, 0);
}

#[apply(both!)]
async fn a_stamp_of_a_revision_without_a_catalog_needs_force(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    let refusal = stamp(&server, "0001", false).await.unwrap_err();
    assert_eq!(reason(&refusal), "CATALOG_NOT_DESCRIBED");
    let state = stamp(&server, "0001", true).await.unwrap();
    assert_eq!(state.revision, "0001");
}

#[apply(both!)]
async fn a_database_of_alembic_is_taken_over_unchanged(backend: Backend) {
    for version in ["0001", "0002"] {
        let database = backend.empty().await;
        let fixture = match backend {
            Backend::Postgres => include_str!("fixtures/alembic.postgres.sql"),
            Backend::Sqlite => include_str!("fixtures/alembic.sqlite.sql"),
        };
        database.execute(fixture).await;
        if version == "0002" {
            let second = &revisions(dialect(backend))[1].up;
            database
                .execute(&format!("{second} update alembic_version set version_num = '0002'"))
                .await;
        }
        let server = Server::start(&database).await;
        let state = server.current().await;
        assert_eq!((state.status(), state.revision.as_str()), (Status::Behind, version));
        let drift = state.drift.unwrap();
        assert_eq!((drift.missing, drift.degraded, drift.extra), Default::default(), "{version}");

        server.upgrade("head").await.unwrap();
        assert_eq!(server.current().await.status(), Status::AtHead);
        let alembic = database.column("select version_num from alembic_version").await;
        assert_eq!(alembic, [Some(version.into())], "it stays as it is");
        let log = server.client().list_operations(ListOperationsRequest::default()).await.unwrap();
        let first = log.get_ref().operations.last().unwrap();
        assert_eq!(
            (first.kind(), first.to_revision.as_str(), first.actor.as_str()),
            (Kind::Stamp, version, "alembic_version")
        );

        // Once it is ours, Alembic's word counts no more.
        server.downgrade("base").await.unwrap();
        assert_eq!(server.current().await.status(), Status::Empty);
    }
}

#[apply(both!)]
async fn a_database_of_the_diesel_cli_is_taken_over_unchanged(backend: Backend) {
    let database = backend.at("0002").await;
    let server = Server::start(&database).await;
    let state = server.current().await;
    assert_eq!((state.status(), state.revision.as_str()), (Status::Behind, "0002"));
    let drift = state.drift.unwrap();
    assert_eq!((drift.missing, drift.degraded, drift.extra), Default::default());
    assert_eq!(state.altered, [""; 0], "its checksums are unknown");
    server.upgrade("head").await.unwrap();
    assert_eq!(server.current().await.status(), Status::AtHead);
}

#[apply(both!)]
async fn unknown_tables_do_not_prevent_an_upgrade(backend: Backend) {
    let database = backend.empty().await;
    database.execute("create table audit (id integer not null)").await;
    let server = Server::start(&database).await;
    assert_eq!(server.current().await.status(), Status::Empty);
    server.upgrade("head").await.unwrap();
    assert_eq!(server.current().await.drift.unwrap().extra, ["table audit"]);
}
