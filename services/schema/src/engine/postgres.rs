//! PostgreSQL: a session advisory lock on one connection, and steps on another.
//!
//! The lock's connection sits idle outside any transaction, so CREATE INDEX CONCURRENTLY does not
//! wait for it; it is polled, since a blocking wait would be a transaction too. A server that dies
//! frees it, yet its last statement may still be running: the working connection therefore holds a
//! second lock, and the next session needs both.

mod error;
mod message;
mod monitor;
mod pipeline;
mod records;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use database::{Connection, Postgres, with_conn};
use diesel::{QueryResult, QueryableByName, sql_types::Bool};
use diesel_async::RunQueryDsl as _;
use tokio_postgres::Client;

use super::{Engine, EngineError, Session};

use error::unreachable;
use records::Records;

/// The advisory locks are the database's. `hashtext` of the schema that holds the bookkeeping
/// separates them within it: it is stable within a major version, which all sessions share.
const MIGRATION_LOCK: i32 = 0x5c4e_6a7e;
const WORK_LOCK: i32 = MIGRATION_LOCK + 1;

/// How often a server process that works for us checks that we are still connected.
const CLIENT_CHECK_INTERVAL: &str = "1s";

#[derive(Clone, Debug)]
pub(super) struct PostgresEngine {
    server: Arc<Postgres>,
}

pub(super) struct PostgresSession {
    server: Arc<Postgres>,
    /// Holds the migration lock, idle.
    lock: Client,
    /// Runs the steps and holds the work lock.
    work: Client,
    work_pid: i32,
    /// What begins a step's transaction; the lock timeout is added per step.
    settings: String,
    /// The schema of the bookkeeping tables, quoted: a revision may change the search path.
    schema: String,
    /// Set once the tables exist.
    records: Option<Records>,
}

impl PostgresEngine {
    pub fn new(server: &Postgres) -> Self {
        Self { server: Arc::new(server.named("schemagate-schema")) }
    }

    async fn connect(&self) -> Result<Client, EngineError> {
        let (client, connection) =
            self.server.connect().await.map_err(|error| unreachable(&error))?;
        // It ends with the client, and its errors reach the client's own calls.
        tokio::spawn(connection);
        Ok(client)
    }
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

#[async_trait]
impl Engine for PostgresEngine {
    async fn try_session(&self) -> Result<Option<Box<dyn Session>>, EngineError> {
        let lock = self.connect().await?;
        if !try_lock(&lock, MIGRATION_LOCK).await? {
            return Ok(None);
        }
        let work = self.connect().await?;
        if !try_lock(&work, WORK_LOCK).await? {
            return Ok(None);
        }
        check_lock_is_held(&lock).await?;
        let row = work
            .query_one(
                "SELECT quote_ident(current_schema()), \
                 current_setting('client_connection_check_interval', true) IS NOT NULL, \
                 pg_backend_pid()",
                &[],
            )
            .await
            .map_err(|error| unreachable(&error))?;
        let schema: Option<String> = row.get(0);
        let schema = schema.ok_or_else(|| {
            EngineError::Bookkeeping("no schema of the search path exists".into())
        })?;
        let mut settings = "SET LOCAL statement_timeout = 0; \
            SET LOCAL idle_in_transaction_session_timeout = 0;"
            .to_owned();
        // PostgreSQL 14 and newer.
        if row.get(1) {
            settings +=
                &format!("SET LOCAL client_connection_check_interval = '{CLIENT_CHECK_INTERVAL}';");
        }
        Ok(Some(Box::new(PostgresSession {
            server: Arc::clone(&self.server),
            lock,
            work,
            work_pid: row.get(2),
            settings,
            schema,
            records: None,
        })))
    }

    async fn is_locked(&self, connection: &mut Connection) -> QueryResult<bool> {
        let query = diesel::sql_query(format!(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks \
             WHERE locktype = 'advisory' AND granted AND database = \
             (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
             AND classid = {MIGRATION_LOCK}::int4::oid \
             AND objid = hashtext(current_schema())::int8::bit(32)::int8::oid) AS locked"
        ));
        let row: Locked = with_conn!(connection, c => query.get_result(c).await)?;
        Ok(row.locked)
    }
}

async fn try_lock(client: &Client, lock: i32) -> Result<bool, EngineError> {
    client
        .query_one("SELECT pg_try_advisory_lock($1, hashtext(current_schema()))", &[&lock])
        .await
        .map(|row| row.get(0))
        .map_err(|error| unreachable(&error))
}

/// A pooler in transaction mode would leave the lock on a server connection that others get next.
async fn check_lock_is_held(client: &Client) -> Result<(), EngineError> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' \
             AND pid = pg_backend_pid() AND classid = $1::int4::oid AND granted)",
            &[&MIGRATION_LOCK],
        )
        .await
        .map_err(|error| unreachable(&error))?;
    if row.get(0) { Ok(()) } else { Err(EngineError::LockLost) }
}
