//! Live dependents: running services that need this schema, known to every replica of the schema
//! service by leases on the database's clock.
//!
//! Registering and migrating cannot race each other. On PostgreSQL a registration holds an
//! advisory lock, shared, and a step that could break a dependent takes it exclusively and checks
//! again, both to the end of their transactions; on SQLite the single writer's lock does the same.
//! So either the step sees the dependent, or the dependent, which reads the state only after it
//! has registered, sees what the step did. Renewals take no lock: a long step ends no lease.

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

/// How long a lease lasts without a renewal. Long enough for dependents of a server that dies to find
/// another one.
pub const LEASE_TTL: Duration = Duration::from_secs(10);
pub const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// How long after the table was created all watching services are in it: their servers look at the
/// database twice in that time.
pub const REGISTRATION_PERIOD: Duration = Duration::from_secs(1);

/// The advisory lock between registrations and steps.
pub const REGISTRATION_LOCK: i32 = 0x5c4e_6a80;

/// Every live dependent, as [`live`] takes it.
pub const SELECT_LIVE: &str = "SELECT service, instance, requires, built_with \
     FROM schemagate_dependents WHERE expires_at > CURRENT_TIMESTAMP";

/// Records a dependent (`$2`) that a step of an operation (`$1`) was forced past.
pub const INSERT_FORCED: &str = "INSERT INTO schemagate_forced (operation_id, dependent) \
     VALUES ($1, $2) ON CONFLICT DO NOTHING";

/// A change on whose result some dependents could not run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BreakingChange {
    /// A Downgrade leaves nothing newer than this revision.
    DowngradeTo(String),
    /// An Upgrade leaves a schema that builds made for an older revision than this cannot run on.
    CompatibleFrom(String),
}

impl BreakingChange {
    pub fn breaks(&self, dependent: &Dependent) -> bool {
        match self {
            Self::DowngradeTo(revision) => dependent.requires > *revision,
            // A dependent that does not report what it was built with was built with what it requires.
            Self::CompatibleFrom(revision) if dependent.built_with.is_empty() => {
                dependent.requires < *revision
            }
            Self::CompatibleFrom(revision) => dependent.built_with < *revision,
        }
    }

    /// The names of the dependents that would break, in order.
    pub fn broken(&self, dependents: impl IntoIterator<Item = Dependent>) -> Vec<String> {
        let broken = dependents.into_iter().filter(|dependent| self.breaks(dependent));
        let mut names: Vec<String> = broken.map(|dependent| display_name(&dependent)).collect();
        names.sort();
        names
    }
}

/// A row of [`SELECT_LIVE`].
pub fn live(service: String, instance: String, requires: String, built_with: String) -> Dependent {
    Dependent { service, instance, requires, built_with, ..Dependent::default() }
}

/// `chat/chat-1 (requires 0002, built with 0003)`: how messages and the ledger name a dependent.
pub fn display_name(dependent: &Dependent) -> String {
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
/// The table does not exist yet, or cannot be written.
pub async fn register(
    connection: &mut Connection,
    dependent: &Dependent,
    holder: &str,
) -> QueryResult<()> {
    let seconds = i64::try_from(LEASE_TTL.as_secs()).unwrap_or(i64::MAX);
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
                "WITH fence AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({REGISTRATION_LOCK}, \
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

/// Renews a lease. False where it has expired or another server holds it: register again.
///
/// # Errors
/// The table cannot be written.
pub async fn renew(
    connection: &mut Connection,
    dependent: &Dependent,
    holder: &str,
) -> QueryResult<bool> {
    let seconds = i32::try_from(LEASE_TTL.as_secs()).unwrap_or(i32::MAX);
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

/// Removes a dependent that ended its Watch, unless another server holds its lease by now.
///
/// # Errors
/// The table cannot be written.
pub async fn remove(
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
    fn a_change_breaks_the_dependents_that_cannot_run_on_its_result() {
        let downgrade = BreakingChange::DowngradeTo("0001".into());
        assert!(downgrade.breaks(&dependent("0002", "0003")));
        assert!(!downgrade.breaks(&dependent("0001", "0003")));
        assert!(!downgrade.breaks(&dependent("", "")));
        let upgrade = BreakingChange::CompatibleFrom("0003".into());
        assert!(upgrade.breaks(&dependent("0001", "0002")));
        assert!(upgrade.breaks(&dependent("0002", "")));
        assert!(!upgrade.breaks(&dependent("0001", "0003")));
        let broken = upgrade.broken([dependent("0002", ""), dependent("0001", "0003")]);
        assert_eq!(broken, ["/ (requires 0002, built with )"]);
    }
}
