//! The ledger: every operation and every step that ran, in tables of our own beside Diesel's.
//!
//! Diesel's table says what is applied, and stays the truth about that; the ledger says how it
//! came to be. It is made by the first operation that holds the lock, never by a reader.

mod forced;
mod stamp;

use database::{
    Connection,
    types::{Instant, Time},
    with_conn,
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use revisions::Revision;
use serde::Deserialize;
use uuid::Uuid;

pub use forced::{begin_forced, forced};
pub use stamp::stamp;

use crate::dependents;

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use super::Instant;

    /// One row an operation.
    schemagate_operations (id) {
        id -> Text,
        kind -> Text,
        outcome -> Text,
        from_revision -> Text,
        to_revision -> Text,
        actor -> Text,
        build -> Text,
        started_at -> Instant,
        finished_at -> Nullable<Instant>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use super::Instant;

    /// One row a step, up or down, in the order in which they were committed.
    schemagate_steps (id) {
        id -> BigInt,
        operation_id -> Text,
        revision -> Text,
        description -> Text,
        direction -> Text,
        checksum -> Text,
        up_sql -> Text,
        down_sql -> Text,
        transactional -> Bool,
        compatible_from -> Nullable<Text>,
        duration_us -> BigInt,
        committed_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{Integer, Text};

    /// One row a step that is half done: there only outside of transactions.
    schemagate_positions (revision) {
        revision -> Text,
        direction -> Text,
        done -> Integer,
        begun -> Integer,
        total -> Integer,
        done_checksum -> Text,
    }
}

/// Makes the ledger's tables where they are missing. `%id` and `%time` are the dialect's.
const TABLES: &str = "\
CREATE TABLE IF NOT EXISTS schemagate_operations (
    id varchar(36) NOT NULL PRIMARY KEY,
    kind varchar(16) NOT NULL,
    outcome varchar(16) NOT NULL,
    from_revision varchar(50) NOT NULL,
    to_revision varchar(50) NOT NULL,
    actor varchar(255) NOT NULL,
    build varchar(100) NOT NULL,
    started_at %time NOT NULL,
    finished_at %time,
    error text
);
CREATE TABLE IF NOT EXISTS schemagate_steps (
    id %id,
    operation_id varchar(36) NOT NULL,
    revision varchar(50) NOT NULL,
    description text NOT NULL,
    direction varchar(8) NOT NULL,
    checksum varchar(64) NOT NULL,
    up_sql text NOT NULL,
    down_sql text NOT NULL,
    transactional boolean NOT NULL,
    compatible_from varchar(50),
    duration_us bigint NOT NULL,
    committed_at %time NOT NULL
);
CREATE TABLE IF NOT EXISTS schemagate_forced (
    operation_id varchar(36) NOT NULL,
    dependent text NOT NULL,
    PRIMARY KEY (operation_id, dependent)
);
CREATE TABLE IF NOT EXISTS schemagate_positions (
    revision varchar(50) NOT NULL PRIMARY KEY,
    direction varchar(4) NOT NULL,
    done integer NOT NULL,
    begun integer NOT NULL,
    total integer NOT NULL,
    done_checksum varchar(64) NOT NULL
);";

/// The statements that make the ledger and Diesel's own table on PostgreSQL.
pub fn tables_postgres() -> String {
    let ours = [TABLES, dependents::TABLE]
        .concat()
        .replace("%id", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
        .replace("%time", "timestamptz");
    format!("{}{ours}{OWNERS_ALONE}", diesel::migration::CREATE_MIGRATIONS_TABLE)
}

/// Takes from all others what lets them write to these tables: a database's default privileges, made
/// for the tables of migrations, give it to the services of those. Who may read is not our business.
const OWNERS_ALONE: &str = "
DO $$ DECLARE granted record; BEGIN
    FOR granted IN
        SELECT DISTINCT c.oid::regclass AS its_table,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
        FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
            AND (c.relname LIKE 'schemagate\\_%' OR c.relname = '__diesel_schema_migrations')
            AND a.grantee <> c.relowner AND pg_has_role(c.relowner, 'USAGE')
            AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
    LOOP
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %s FROM %s',
            granted.its_table, granted.grantee);
    END LOOP;
END $$;";

/// The statements that make the ledger and Diesel's own table on SQLite.
pub fn tables_sqlite() -> String {
    let ours = [TABLES, dependents::TABLE]
        .concat()
        .replace("%id", "integer NOT NULL PRIMARY KEY AUTOINCREMENT")
        .replace("%time", "text");
    format!("{}{ours}", diesel::migration::CREATE_MIGRATIONS_TABLE)
}

/// An operation.
#[derive(Clone, Debug, Deserialize, Identifiable, Insertable, Queryable, Selectable)]
#[diesel(table_name = schemagate_operations)]
pub struct Operation {
    /// UUIDv7.
    pub id: String,
    /// `upgrade`, `downgrade`, `stamp` or `repair`.
    pub kind: String,
    /// `running`, `succeeded`, `failed` or `interrupted`.
    pub outcome: String,
    /// The newest revision before it.
    pub from_revision: String,
    /// Where it was to end; where it ended, once it has.
    pub to_revision: String,
    /// Who asked.
    pub actor: String,
    /// The build that ran it.
    pub build: String,
    /// When it held the lock.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// Why it did not succeed.
    pub error: Option<String>,
}

/// How far a step came that commits statement by statement.
#[derive(
    AsChangeset, Clone, Debug, Deserialize, Eq, Insertable, PartialEq, Queryable, Selectable,
)]
#[diesel(table_name = schemagate_positions)]
pub struct Position {
    /// The revision.
    pub revision: String,
    /// `up` or `down`.
    pub direction: String,
    /// How many statements are committed.
    pub done: i32,
    /// The statement that was begun outside any transaction and may have ended, from 1; else 0.
    pub begun: i32,
    /// How many there are.
    pub total: i32,
    /// SHA-256 of those that are committed: they cannot be changed any more.
    pub done_checksum: String,
}

/// A step that is committed together with its revision.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = schemagate_steps)]
pub struct NewStep<'a> {
    /// The operation that runs it.
    pub operation_id: &'a str,
    /// The revision.
    pub revision: &'a str,
    /// What it does.
    pub description: &'a str,
    /// `up` or `down`; `stamp` or `forget` where nothing ran.
    pub direction: &'a str,
    /// SHA-256 of both bodies; empty where nobody knows what ran.
    pub checksum: &'a str,
    /// The body that goes up.
    pub up_sql: &'a str,
    /// The body that goes down.
    pub down_sql: &'a str,
    /// Whether it is one transaction.
    pub transactional: bool,
    /// Builds made for an older revision than this break on it.
    pub compatible_from: Option<&'a str>,
    /// How long its body took.
    pub duration_us: i64,
    /// When it was committed.
    pub committed_at: Time,
}

impl Position {
    /// Its columns.
    pub const COLUMNS: &[&str] =
        &["revision", "direction", "done", "begun", "total", "done_checksum"];
}

impl Operation {
    /// Its columns.
    pub const COLUMNS: &[&str] = &[
        "id",
        "kind",
        "outcome",
        "from_revision",
        "to_revision",
        "actor",
        "build",
        "started_at",
        "finished_at",
        "error",
    ];

    /// One that begins now.
    pub fn new(kind: &str, from: &str, to: &str, actor: &str) -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            kind: kind.into(),
            outcome: "running".into(),
            from_revision: from.into(),
            to_revision: to.into(),
            actor: actor.into(),
            build: env!("CARGO_PKG_VERSION").into(),
            started_at: Time::now(),
            finished_at: None,
            error: None,
        }
    }
}

/// Writes that an operation begins.
///
/// # Errors
/// The ledger cannot be written.
pub async fn begin(connection: &mut Connection, operation: &Operation) -> QueryResult<usize> {
    let insert = diesel::insert_into(schemagate_operations::table).values(operation);
    with_conn!(connection, c => insert.execute(c).await)
}

/// Writes how an operation ended, and where.
///
/// # Errors
/// The ledger cannot be written.
pub async fn end(
    connection: &mut Connection,
    id: &str,
    ended: &str,
    revision: &str,
    why: Option<String>,
) -> QueryResult<usize> {
    use schemagate_operations::dsl::{error, finished_at, outcome, to_revision};
    let update = diesel::update(schemagate_operations::table.find(id)).set((
        outcome.eq(ended),
        to_revision.eq(revision),
        finished_at.eq(Some(Time::now())),
        error.eq(why),
    ));
    with_conn!(connection, c => update.execute(c).await)
}

/// Writes a step that runs nothing: the text that counts from now on.
///
/// # Errors
/// The ledger cannot be written.
pub async fn note(
    connection: &mut Connection,
    operation: &Operation,
    revision: &Revision,
    direction: &str,
) -> QueryResult<usize> {
    let checksum = revision.checksum();
    let row = NewStep {
        operation_id: &operation.id,
        revision: &revision.id,
        description: &revision.description,
        direction,
        checksum: &checksum,
        up_sql: &revision.up,
        down_sql: &revision.down,
        transactional: revision.transactional,
        compatible_from: revision.compatible_from.as_deref(),
        duration_us: 0,
        committed_at: Time::now(),
    };
    let insert = diesel::insert_into(schemagate_steps::table).values(row);
    with_conn!(connection, c => insert.execute(c).await)
}

/// Ends what reads as running although its server is gone. Only for who holds the lock.
///
/// # Errors
/// The ledger cannot be written.
pub async fn interrupt(connection: &mut Connection) -> QueryResult<usize> {
    use schemagate_operations::dsl::{error, finished_at, outcome};
    let dead = schemagate_operations::table.filter(outcome.eq("running"));
    let update = diesel::update(dead).set((
        outcome.eq("interrupted"),
        finished_at.eq(Some(Time::now())),
        error.eq(Some("its server died; what was committed stayed, the rest was rolled back")),
    ));
    with_conn!(connection, c => update.execute(c).await)
}

/// The text of a revision as it was last applied.
///
/// # Errors
/// The ledger cannot be read.
pub async fn applied_text(connection: &mut Connection, id: &str) -> QueryResult<Option<Revision>> {
    use schemagate_steps::dsl;
    let query = schemagate_steps::table
        .filter(dsl::revision.eq(id).and(dsl::direction.eq("up")))
        .order(dsl::id.desc())
        .limit(1)
        .select((
            dsl::description,
            dsl::up_sql,
            dsl::down_sql,
            dsl::transactional,
            dsl::compatible_from,
        ));
    type Row = (String, String, String, bool, Option<String>);
    let row: Option<Row> = with_conn!(connection, c => query.get_result(c).await.optional())?;
    Ok(row.map(|(description, up, down, transactional, compatible_from)| Revision {
        id: id.to_owned().into(),
        description: description.into(),
        up: up.into(),
        down: down.into(),
        transactional,
        compatible_from: compatible_from.map(Into::into),
        catalog: None,
    }))
}
