//! Live dependents: running services that need this schema, known to every replica of the schema
//! service by leases on the database's clock.
//!
//! Registering and migrating cannot race each other. On PostgreSQL a registration holds an
//! advisory lock, shared, and a step that a dependent could mind holds it alone and looks again,
//! both to the end of their transactions; on SQLite the one writer's lock does the same. So either
//! the step sees the dependent, or the dependent, which reads the state only once it is
//! registered, sees what the step did. Renewals hold no lock: a long step ends no lease.

use std::time::Duration;

use api::schema::v1::Dependent;
use database::{Connection, types::Time, with_conn};
use diesel::{
    QueryResult,
    sql_types::{BigInt, Integer, Text},
};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use wire::convert::timestamp;

/// How long a lease lasts without a renewal: a server that dies is not heard of any more, and its
/// dependents have found another one by then.
pub const LEASE: Duration = Duration::from_secs(10);
/// How often it is renewed.
pub const RENEWAL: Duration = Duration::from_secs(3);
/// How soon after there is a table all who watch are in it: whichever server they ask looks twice
/// in that time.
pub const GATHERING: Duration = Duration::from_secs(1);

/// The advisory lock between registrations and steps.
pub const LOCK: i32 = 0x5c4e_6a80;

/// The table, for either dialect's `%time`.
pub const TABLE: &str = "\
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

/// What a change would take from a dependent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Threat {
    /// A Downgrade leaves nothing newer than this revision.
    Below(String),
    /// An Upgrade leaves a schema that builds made for an older revision than this cannot run on.
    CompatibleFrom(String),
}

impl Threat {
    /// Whether a dependent would break.
    pub fn breaks(&self, dependent: &Dependent) -> bool {
        match self {
            Self::Below(revision) => dependent.requires > *revision,
            // One that does not say what it was built with was built with what it requires.
            Self::CompatibleFrom(revision) if dependent.built_with.is_empty() => {
                dependent.requires < *revision
            }
            Self::CompatibleFrom(revision) => dependent.built_with < *revision,
        }
    }

    /// A query that has a row for each dependent that would break, with its name. `$1` is
    /// [`Self::revision`].
    pub fn query(&self) -> String {
        let breaks = match self {
            Self::Below(_) => "requires > $1",
            Self::CompatibleFrom(_) => "coalesce(nullif(built_with, ''), requires) < $1",
        };
        format!(
            "SELECT service || '/' || instance || ' (requires ' || requires || ', built with ' || \
             built_with || ')' AS name FROM schemagate_dependents \
             WHERE expires_at > CURRENT_TIMESTAMP AND {breaks} ORDER BY 1"
        )
    }

    /// A statement that writes down each dependent that would break, as passed by force. `$1` is
    /// [`Self::revision`], `$2` the operation; SQLite numbers them as they come.
    pub fn note(&self) -> String {
        format!(
            "WITH broken AS ({}) INSERT INTO schemagate_forced (operation_id, dependent) \
             SELECT $2, name FROM broken WHERE true ON CONFLICT DO NOTHING",
            self.query()
        )
    }

    /// The revision that it turns on.
    pub fn revision(&self) -> &str {
        match self {
            Self::Below(revision) | Self::CompatibleFrom(revision) => revision,
        }
    }
}

/// `chat/chat-1 (requires 0002, built with 0003)`.
pub fn name(dependent: &Dependent) -> String {
    let Dependent { service, instance, requires, built_with, .. } = dependent;
    format!("{service}/{instance} (requires {requires}, built with {built_with})")
}

/// A dependent's row, without its lease.
#[derive(Deserialize)]
pub struct Row {
    service: String,
    instance: String,
    version: String,
    requires: String,
    built_with: String,
    since: Time,
}

impl Row {
    /// Its columns.
    pub const COLUMNS: &[&str] =
        &["service", "instance", "version", "requires", "built_with", "since"];
}

impl From<Row> for Dependent {
    fn from(row: Row) -> Self {
        Self {
            service: row.service,
            instance: row.instance,
            version: row.version,
            requires: row.requires,
            built_with: row.built_with,
            since: Some(timestamp(row.since.utc())),
        }
    }
}

/// Registers a dependent, or takes its lease over from another server.
///
/// # Errors
/// The table is not there yet, or cannot be written.
pub async fn register(
    connection: &mut Connection,
    dependent: &Dependent,
    holder: &str,
) -> QueryResult<()> {
    let seconds = i64::try_from(LEASE.as_secs()).unwrap_or(i64::MAX);
    let insert = |fence: &str, now: &str, expires: &str| {
        format!(
            "{fence}INSERT INTO schemagate_dependents \
             (service, instance, version, requires, built_with, since, holder, expires_at) \
             VALUES ($1, $2, $3, $4, $5, {now}, $6, {expires}) \
             ON CONFLICT (service, instance) DO UPDATE SET version = $3, requires = $4, \
             built_with = $5, holder = $6, expires_at = excluded.expires_at"
        )
    };
    let sql = match connection {
        // The lock is taken before the row is written, and held until both are committed.
        Connection::Postgres(_) => insert(
            &format!(
                "WITH fence AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({LOCK}, \
                 hashtext(current_schema()))) "
            ),
            "now()",
            "(SELECT clock_timestamp() + $7 * interval '1 second' FROM fence)",
        ),
        Connection::Sqlite(_) => insert(
            "",
            "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
            "strftime('%Y-%m-%d %H:%M:%f000', 'now', '+' || $7 || ' seconds')",
        ),
    };
    let query = diesel::sql_query(sql)
        .bind::<Text, _>(&dependent.service)
        .bind::<Text, _>(&dependent.instance)
        .bind::<Text, _>(&dependent.version)
        .bind::<Text, _>(&dependent.requires)
        .bind::<Text, _>(&dependent.built_with)
        .bind::<Text, _>(holder)
        .bind::<BigInt, _>(seconds);
    with_conn!(connection, c => query.execute(c).await).map(drop)
}

/// Renews the lease. False where it is gone: register again.
///
/// # Errors
/// The table cannot be written.
pub async fn renew(
    connection: &mut Connection,
    dependent: &Dependent,
    holder: &str,
) -> QueryResult<bool> {
    let seconds = i32::try_from(LEASE.as_secs()).unwrap_or(i32::MAX);
    let expires = match connection {
        Connection::Postgres(_) => "clock_timestamp() + $1 * interval '1 second'",
        Connection::Sqlite(_) => "strftime('%Y-%m-%d %H:%M:%f000', 'now', '+' || $1 || ' seconds')",
    };
    let query = diesel::sql_query(format!(
        "UPDATE schemagate_dependents SET expires_at = {expires} \
         WHERE service = $2 AND instance = $3 AND holder = $4 AND expires_at > CURRENT_TIMESTAMP"
    ))
    .bind::<Integer, _>(seconds)
    .bind::<Text, _>(&dependent.service)
    .bind::<Text, _>(&dependent.instance)
    .bind::<Text, _>(holder);
    with_conn!(connection, c => query.execute(c).await).map(|rows| rows > 0)
}

/// Forgets a dependent that said goodbye, unless another server holds its lease by now.
///
/// # Errors
/// The table cannot be written.
pub async fn forget(
    connection: &mut Connection,
    dependent: &Dependent,
    holder: &str,
) -> QueryResult<()> {
    let query = diesel::sql_query(
        "DELETE FROM schemagate_dependents WHERE service = $1 AND instance = $2 AND holder = $3",
    )
    .bind::<Text, _>(&dependent.service)
    .bind::<Text, _>(&dependent.instance)
    .bind::<Text, _>(holder);
    with_conn!(connection, c => query.execute(c).await).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependent(requires: &str, built_with: &str) -> Dependent {
        Dependent {
            requires: requires.into(),
            built_with: built_with.into(),
            ..Dependent::default()
        }
    }

    #[test]
    fn who_breaks() {
        let below = Threat::Below("0001".into());
        assert!(below.breaks(&dependent("0002", "0003")));
        assert!(!below.breaks(&dependent("0001", "0003")));
        assert!(!below.breaks(&dependent("", "")));
        let compatible = Threat::CompatibleFrom("0003".into());
        assert!(compatible.breaks(&dependent("0001", "0002")));
        assert!(compatible.breaks(&dependent("0002", "")));
        assert!(!compatible.breaks(&dependent("0001", "0003")));
    }
}
