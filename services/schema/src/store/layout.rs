//! The layout of the bookkeeping tables: its version, and how an older one is migrated in place.
//!
//! The holder of the migration lock runs the migrations that the database lacks, in order and in
//! one transaction. A migration only adds: tables, and columns that are nullable or have a default.
//! So an older server beside this one reads on, and one that knows of versions refuses to write.
//!
//! The version stands in a table of its own because servers of version 1 (0.1.0 up to commit 865dd92)
//! look for their tables by name and create those that they miss: they neither read this table
//! nor stumble over it, while a new column or row in a table of theirs could reach their queries.

use std::fmt;

use sql::Dialect;

/// One in-place migration of the layout, in either dialect.
struct Migration {
    version: i32,
    /// `%id` and `%time` stand for the dialect's types.
    sql: &'static str,
}

/// Version 1 stands in databases without a record of it, with or without `schemagate_forced`. It is
/// therefore the one migration that must run also where its tables exist.
const MIGRATIONS: [Migration; 2] =
    [Migration { version: 1, sql: VERSION_1 }, Migration { version: 2, sql: VERSION_2 }];

/// The newest layout that this build knows.
pub const VERSION: i32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// The table that records the version: one row per migration since version 2.
pub const TABLE: &str = "schemagate_bookkeeping";

/// The version that is recorded, and the build that recorded it. No row in a version that was never recorded.
pub const READ_VERSION: &str =
    "SELECT version, build FROM schemagate_bookkeeping ORDER BY version DESC LIMIT 1";

const VERSION_1: &str = "\
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
);
CREATE TABLE IF NOT EXISTS schemagate_dependents (
    service varchar(255) NOT NULL,
    instance varchar(255) NOT NULL,
    version varchar(255) NOT NULL,
    requires varchar(50) NOT NULL,
    built_with varchar(50) NOT NULL,
    since %time NOT NULL,
    holder varchar(36) NOT NULL,
    expires_at %time NOT NULL,
    PRIMARY KEY (service, instance)
);";

const VERSION_2: &str = "\
CREATE TABLE schemagate_bookkeeping (
    version integer NOT NULL PRIMARY KEY,
    build varchar(100) NOT NULL,
    migrated_at %time NOT NULL DEFAULT CURRENT_TIMESTAMP
);";

/// A layout that a newer build recorded: this one must not write to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewerLayout {
    pub found: i32,
    /// The build that recorded it.
    pub build: String,
}

impl NewerLayout {
    /// Refuses a recorded version that this build does not know.
    ///
    /// # Errors
    /// The version is newer than [`VERSION`].
    pub fn refuse(found: i32, build: &str) -> Result<(), Self> {
        if found > VERSION { Err(Self { found, build: build.into() }) } else { Ok(()) }
    }
}

impl fmt::Display for NewerLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, build } = self;
        write!(
            f,
            "bookkeeping tables have layout {found} but this build knows layouts up to {VERSION}; \
             deploy schema {build}, which migrated them, or a newer release"
        )
    }
}

impl std::error::Error for NewerLayout {}

/// The statements that bring the bookkeeping from a recorded version (0 where none is) to
/// [`VERSION`]; empty where it is there. To be run in one transaction.
pub fn migrate(dialect: Dialect, recorded: i32) -> String {
    let (id, time) = match dialect {
        Dialect::Postgres => ("bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "timestamptz"),
        Dialect::Sqlite => ("integer NOT NULL PRIMARY KEY AUTOINCREMENT", "text"),
    };
    let pending: Vec<&Migration> =
        MIGRATIONS.iter().filter(|migration| migration.version > recorded).collect();
    if pending.is_empty() {
        return String::new();
    }
    let mut sql = String::from(diesel::migration::CREATE_MIGRATIONS_TABLE);
    for Migration { version, sql: statements } in pending {
        sql += &statements.replace("%id", id).replace("%time", time);
        if *version > 1 {
            let build = env!("CARGO_PKG_VERSION");
            sql += &format!("INSERT INTO {TABLE} (version, build) VALUES ({version}, '{build}');");
        }
    }
    sql
}

/// Revokes write access to the bookkeeping from every role but its owner. A database's default
/// privileges, meant for the tables of migrations, grant it to the services. Who may read is left
/// to the administrator.
pub const REVOKE_WRITES: &str = "
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_ascend_by_one() {
        let versions = MIGRATIONS.map(|migration| migration.version);
        assert!(versions.iter().zip(1..).all(|(version, expected)| *version == expected));
    }

    #[test]
    fn a_database_gets_the_migrations_that_it_lacks() {
        let fresh = migrate(Dialect::Postgres, 0);
        assert!(fresh.contains("schemagate_steps") && fresh.contains(TABLE), "{fresh}");
        let from_1 = migrate(Dialect::Sqlite, 1);
        assert!(!from_1.contains("schemagate_steps") && from_1.contains(TABLE), "{from_1}");
        assert_eq!(migrate(Dialect::Sqlite, VERSION), "");
        assert_eq!(migrate(Dialect::Sqlite, VERSION + 1), "");
    }

    #[test]
    fn a_newer_layout_is_refused_with_what_to_deploy() {
        NewerLayout::refuse(VERSION, "0.1.0").unwrap();
        let refusal = NewerLayout::refuse(VERSION + 1, "0.9.0").unwrap_err().to_string();
        assert!(refusal.contains("deploy schema 0.9.0"), "{refusal}");
    }
}
