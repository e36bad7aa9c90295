//! PostgreSQL: a session advisory lock on a connection of its own, and steps on another.
//!
//! The lock's connection sits idle outside any transaction, so CREATE INDEX CONCURRENTLY waits
//! for nothing of ours; it is polled, since a blocking wait would be a transaction too. The
//! server that dies frees it, yet its last statement may still be running: the connection that
//! works therefore holds a second lock, and the next session waits for both.

mod booking;
mod pieces;
mod words;

use std::{future::Future, sync::Arc, time::Duration};

use database::Postgres;
use diesel::{QueryResult, QueryableByName, sql_types::Bool};
use diesel_async::AsyncPgConnection;
use futures_util::future::join_all;
use revisions::{
    Dialect,
    statements::{self, Statement, line_of},
};
use tokio_postgres::{
    Client,
    error::{ErrorPosition, SqlState},
};

use self::words::{server_words, words};
use super::{EngineError, StatementError, Step, first_words, stop::Stopper};
use crate::{
    dependents::{self, Threat},
    ledger,
};

use booking::{Booking, Entry};

/// One of our locks. They are the database's own, told apart by the schema that holds the
/// tables: `hashtext` is stable within a major version, which all sessions of a server share.
const LOCK: i32 = 0x5c4e_6a7e;
const FENCE: i32 = LOCK + 1;

/// The shortest time between two looks at who stands in the way.
const BRIEF: Duration = Duration::from_millis(20);

/// How often a server that works for a client looks whether the client is still there.
const CLIENT_CHECK: &str = "1s";

#[derive(Clone, Debug)]
pub struct Engine {
    server: Arc<Postgres>,
}

pub struct Session {
    server: Arc<Postgres>,
    /// Holds the lock, idle.
    lock: Client,
    /// Runs the steps, and holds the fence.
    work: Client,
    /// What opens a step's transaction; the lock timeout is put in per step.
    settings: String,
    /// The schema of the bookkeeping tables, quoted: a body may change the search path.
    schema: String,
    work_pid: i32,
    /// Once the tables are there.
    booking: Option<Booking>,
}

impl Engine {
    pub(super) fn new(server: &Postgres) -> Self {
        Self { server: Arc::new(server.named("schemagate-schema")) }
    }

    pub(super) async fn try_session(&self) -> Result<Option<Session>, EngineError> {
        let lock = self.connect().await?;
        if !take(&lock, LOCK).await? {
            return Ok(None);
        }
        let work = self.connect().await?;
        // A dead server's last statement may still run: its connection has the fence.
        if !take(&work, FENCE).await? {
            return Ok(None);
        }
        held(&lock).await?;
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
            EngineError::Bookkeeping("the search path names no schema that exists".into())
        })?;
        let mut settings = "SET LOCAL statement_timeout = 0; \
            SET LOCAL idle_in_transaction_session_timeout = 0;"
            .to_owned();
        // PostgreSQL 14 and newer.
        if row.get(1) {
            settings += &format!("SET LOCAL client_connection_check_interval = '{CLIENT_CHECK}';");
        }
        let server = Arc::clone(&self.server);
        let work_pid = row.get(2);
        Ok(Some(Session { server, lock, work, settings, schema, work_pid, booking: None }))
    }

    async fn connect(&self) -> Result<Client, EngineError> {
        let (client, connection) =
            self.server.connect().await.map_err(|error| unreachable(&error))?;
        // It ends with the client, and its errors reach the client's own calls.
        tokio::spawn(connection);
        Ok(client)
    }
}

async fn take(client: &Client, which: i32) -> Result<bool, EngineError> {
    client
        .query_one("SELECT pg_try_advisory_lock($1, hashtext(current_schema()))", &[&which])
        .await
        .map(|row| row.get(0))
        .map_err(|error| unreachable(&error))
}

/// A pooler that hands each transaction another server connection would hand the lock to
/// strangers: the connection that asks must be the one that holds.
async fn held(client: &Client) -> Result<(), EngineError> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' \
             AND pid = pg_backend_pid() AND classid = $1::int4::oid AND granted)",
            &[&LOCK],
        )
        .await
        .map_err(|error| unreachable(&error))?;
    if row.get(0) { Ok(()) } else { Err(EngineError::LockLost) }
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

pub(super) async fn is_locked(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    let query = diesel::sql_query(format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
         AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
         AND classid = {LOCK}::int4::oid \
         AND objid = hashtext(current_schema())::int8::bit(32)::int8::oid) AS locked"
    ));
    let row: Locked = diesel_async::RunQueryDsl::get_result(query, connection).await?;
    Ok(row.locked)
}

impl Session {
    pub(super) async fn prepare(&mut self) -> Result<(), EngineError> {
        let unwritable = |error| EngineError::Bookkeeping(server_words(&error));
        // Else each table that is there already is a notice in the log.
        let tables = format!("SET client_min_messages = warning; {}", ledger::tables_postgres());
        self.work.batch_execute(&tables).await.map_err(unwritable)?;
        let booking = Booking::prepare(&self.work, &self.schema).await;
        self.booking = Some(booking.map_err(unwritable)?);
        Ok(())
    }

    pub(super) fn stopper(&self) -> Stopper {
        Stopper::Postgres(Arc::clone(&self.server), self.work.cancel_token())
    }

    pub(super) async fn run(&mut self, step: &Step) -> Result<(), EngineError> {
        let body = statements::executable(Dialect::Postgres, step.sql());
        self.flight(step, &body, 1, &[Entry::Step]).await
    }

    /// One transaction in one flight: the statements, the bookkeeping and the commit are sent
    /// before the first is answered. After an error the server skips what follows, and its answer
    /// to the commit is a rollback.
    async fn flight(
        &self,
        step: &Step,
        body: &[Statement<'_>],
        first: usize,
        entries: &[Entry<'_>],
    ) -> Result<(), EngineError> {
        step.fate.check()?;
        if self.lock.is_closed() {
            return Err(EngineError::LockLost);
        }
        let Some(booking) = &self.booking else {
            return Err(EngineError::Bookkeeping("the session was not prepared".into()));
        };
        let begin = format!(
            "RESET ALL; BEGIN; {} SET LOCAL lock_timeout = {};",
            self.settings,
            milliseconds(step.lock_timeout)
        );
        let checksum = step.revision.checksum();
        let begin = match &step.threat {
            None => begin,
            // Nothing flies before it is known who breaks.
            Some(threat) => {
                self.work.batch_execute(&begin).await.map_err(|error| unreachable(&error))?;
                self.nobody_breaks(step, threat).await?;
                String::new()
            }
        };
        let sent = async {
            tokio::join!(
                biased;
                self.work.batch_execute(&begin),
                join_all(body.iter().map(|statement| self.work.batch_execute(statement.text))),
                join_all(entries.iter().map(|entry| booking.write(&self.work, step, &checksum, entry))),
                self.work.batch_execute("COMMIT"),
            )
        };
        let ((begun, ran, booked, committed), blocked_by) =
            self.watched(step.lock_timeout, sent).await;
        begun.map_err(|error| unreachable(&error))?;
        for (index, (statement, result)) in body.iter().zip(ran).enumerate() {
            result.map_err(|error| refused(step, statement, first + index, &error, &blocked_by))?;
        }
        for result in booked {
            result.map_err(|error| EngineError::Bookkeeping(server_words(&error)))?;
        }
        // Deferred constraints are checked here.
        let end = step.sql().len();
        let last = Statement { text: "COMMIT", line: line_of(step.sql(), end), offset: end };
        committed.map_err(|error| refused(step, &last, first + body.len(), &error, &blocked_by))
    }

    /// Looks once more, now that nobody can register until the transaction ends.
    async fn nobody_breaks(&self, step: &Step, threat: &Threat) -> Result<(), EngineError> {
        let looked = async {
            let fence = "SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))";
            self.work.execute(fence, &[&dependents::LOCK]).await?;
            if step.force {
                let note = threat.note();
                self.work.execute(&note, &[&threat.revision(), &step.operation_id]).await?;
                return Ok(Vec::new());
            }
            self.work.query(&threat.query(), &[&threat.revision()]).await
        };
        let names = looked.await.map(|rows| {
            rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join(", ")
        });
        if names.as_ref().is_ok_and(String::is_empty) {
            return Ok(());
        }
        self.work.batch_execute("ROLLBACK").await.map_err(|error| unreachable(&error))?;
        Err(names.map_or_else(|error| unreachable(&error), EngineError::Dependents))
    }

    /// Awaits work, and looks meanwhile at who stands in its way: once a lock timeout has fired,
    /// nobody can tell any more.
    async fn watched<R>(
        &self,
        lock_timeout: Duration,
        work: impl Future<Output = R>,
    ) -> (R, Vec<String>) {
        let mut blocked_by = Vec::new();
        let looking = async {
            loop {
                tokio::time::sleep(lock_timeout.mul_f64(0.4).max(BRIEF)).await;
                if let Ok(found) = self.blockers().await
                    && !found.is_empty()
                {
                    blocked_by = found;
                }
            }
        };
        let result = tokio::select! {
            biased;
            result = work => result,
            () = looking => unreachable!("it looks for ever"),
        };
        (result, blocked_by)
    }

    async fn blockers(&self) -> Result<Vec<String>, tokio_postgres::Error> {
        let rows = self
            .lock
            .query(
                "SELECT format('pid %s (%s, in its transaction for %s s: %s)', pid, \
                 coalesce(nullif(application_name, ''), usename), \
                 round(extract(epoch FROM clock_timestamp() - xact_start)), \
                 left(regexp_replace(query, '\\s+', ' ', 'g'), 60)) \
                 FROM pg_catalog.pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1))",
                &[&self.work_pid],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// Zero would mean for ever.
fn milliseconds(timeout: Duration) -> u128 {
    timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into())
}

fn refused(
    step: &Step,
    statement: &Statement<'_>,
    number: usize,
    error: &tokio_postgres::Error,
    blocked_by: &[String],
) -> EngineError {
    let Some(server) = error.as_db_error() else {
        return unreachable(error);
    };
    let line = match server.position() {
        Some(ErrorPosition::Original(position)) => {
            let within: usize =
                statement.text.chars().take(*position as usize - 1).map(char::len_utf8).sum();
            line_of(step.sql(), statement.offset + within)
        }
        _ => statement.line,
    };
    let refusal = StatementError {
        number,
        line,
        statement: first_words(statement.text),
        message: words(server),
        code: Some(server.code().code().to_owned()),
        blocked_by: blocked_by.to_vec(),
    };
    let contended = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
    ];
    if contended.contains(server.code()) {
        EngineError::Contended(refusal)
    } else {
        EngineError::Statement(refusal)
    }
}

fn unreachable(error: &tokio_postgres::Error) -> EngineError {
    EngineError::Unreachable(server_words(error))
}
