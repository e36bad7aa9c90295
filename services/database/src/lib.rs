//! PostgreSQL and SQLite behind one type: [`Database`] is a pool of connections to either, and
//! [`with_conn!`] runs one query expression on whichever it is.

mod postgres;
mod sqlite_file;
mod transaction;
pub mod types;
mod url;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool::managed::{self, QueueMode};
use diesel::{
    Connection as _, ConnectionError, QueryResult, SqliteConnection,
    connection::SimpleConnection as _,
};
use diesel_async::{
    AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{BuildError, Hook, Object, Pool},
    },
    sync_connection_wrapper::SyncConnectionWrapper,
};
use futures_util::{FutureExt as _, future::BoxFuture};

use sqlite_file::SqliteFile;
use wire::error_chain;

pub use postgres::{Postgres, Secured};
pub use url::{DatabaseUrl, InvalidUrl};

/// SQLite's connection, moved to a thread of its own for each query.
pub type AsyncSqliteConnection = SyncConnectionWrapper<SqliteConnection>;

/// How long a caller waits for a connection before it is told that the database is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a query of PostgreSQL's waits for a lock, such as that of a migration: long enough for
/// a short one, and short enough that callers are told before every connection waits too.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What keeps PostgreSQL from reading the whole of a table that has an index for what is asked. It
/// does so while a table is small, and keeps the plan until it analyses the table by itself, up to
/// a minute after it grew
/// (<https://www.postgresql.org/docs/current/runtime-config-query.html>). Where it must, it takes
/// that for costly enough to compile the query, which costs more than running it.
const BY_INDEX: &str = "SET enable_seqscan = off; SET jit = off";

/// How long a connection of SQLite's waits for another one's write.
const SQLITE_BUSY: Duration = Duration::from_secs(5);

/// A database: a pool of connections that open when they are needed.
#[derive(Clone)]
pub struct Database {
    pool: Pools,
    url: DatabaseUrl,
    renewed: Renewed,
}

/// Connections that were opened before this are not used again.
type Renewed = Arc<Mutex<Instant>>;

#[derive(Clone)]
enum Pools {
    Postgres(Pool<AsyncPgConnection>),
    Sqlite(Pool<AsyncSqliteConnection>),
}

/// One connection, taken out of a [`Database`].
pub enum Connection {
    /// PostgreSQL's.
    Postgres(Object<AsyncPgConnection>),
    /// SQLite's.
    Sqlite(Object<AsyncSqliteConnection>),
}

/// Runs one query expression on whichever database the connection is of:
/// `with_conn!(conn, c => chats::table.load(c).await)`.
#[macro_export]
macro_rules! with_conn {
    ($connection:expr, $c:ident => $query:expr) => {
        match $connection {
            $crate::Connection::Postgres($c) => $query,
            $crate::Connection::Sqlite($c) => $query,
        }
    };
}

/// No connection could be had.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The server, or the file, refused one.
    #[error("the database cannot be reached")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Every connection is in use.
    #[error("no connection to the database came free within {PATIENCE:?}")]
    Exhausted,
}

impl Database {
    /// A pool of at most `size` connections. Opens none yet.
    ///
    /// `application` names this service to the database's administrator.
    pub fn new(url: &DatabaseUrl, application: &str, size: usize) -> Self {
        Self::set_up(url, application, size, "")
    }

    /// The same for a service whose every query has an index: it is used however small a table is.
    pub fn by_index(url: &DatabaseUrl, application: &str, size: usize) -> Self {
        Self::set_up(url, application, size, BY_INDEX)
    }

    fn set_up(url: &DatabaseUrl, application: &str, size: usize, settings: &'static str) -> Self {
        let renewed = Arc::new(Mutex::new(Instant::now()));
        let pool = match url {
            DatabaseUrl::Postgres(server) => {
                let server = server.named(application);
                let connect = move || postgres(server.clone(), settings).boxed();
                Pools::Postgres(pool(size, &renewed, || {}, connect))
            }
            DatabaseUrl::Sqlite { path, read_only } => {
                let uri = sqlite_uri(path, *read_only);
                let file = Arc::new(SqliteFile::new(path, &renewed));
                let opened = file.clone();
                let connect = move || {
                    opened.look();
                    let uri = uri.clone();
                    async move { sqlite(&uri).map(SyncConnectionWrapper::new) }.boxed()
                };
                Pools::Sqlite(pool(size, &renewed, move || file.look(), connect))
            }
        };
        Self { pool, url: url.clone(), renewed }
    }

    /// Where it is.
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Opens every connection anew before it is used again. To be called when the schema moved:
    /// a connection of PostgreSQL's remembers the types and plans that it has seen.
    pub fn renew(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A connection, within five seconds.
    ///
    /// # Errors
    /// The database refuses, or every connection stays in use.
    pub async fn connection(&self) -> Result<Connection, Unavailable> {
        let got = async {
            Ok(match &self.pool {
                Pools::Postgres(pool) => Connection::Postgres(pool.get().await.map_err(refused)?),
                Pools::Sqlite(pool) => Connection::Sqlite(pool.get().await.map_err(refused)?),
            })
        };
        tokio::time::timeout(PATIENCE, got).await.unwrap_or(Err(Unavailable::Exhausted))
    }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Unavailable {
    Unavailable::Refused(Box::new(error))
}

fn pool<C>(
    size: usize,
    renewed: &Renewed,
    look: impl Fn() + Send + Sync + 'static,
    connect: impl Fn() -> BoxFuture<'static, diesel::ConnectionResult<C>> + Send + Sync + 'static,
) -> Pool<C>
where
    C: diesel_async::pooled_connection::PoolableConnection + Send + 'static,
    AsyncDieselConnectionManager<C>: managed::Manager<Type = C>,
{
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |_| connect());
    // A connection that was closed knows it: no query is spent on asking before each use.
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::new_with_config("", config);
    let renewed = Arc::clone(renewed);
    let fresh = Hook::sync_fn(move |_, metrics| {
        look();
        if metrics.created < *renewed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(managed::HookError::message(
                "opened before the schema, or the file, moved",
            ));
        }
        Ok(())
    });
    // The connection that was used last is the one whose caches are warm.
    let builder = Pool::builder(manager).max_size(size).queue_mode(QueueMode::Lifo);
    match builder.pre_recycle(fresh).build() {
        Ok(pool) => pool,
        Err(BuildError::NoRuntimeSpecified) => unreachable!("no timeout is configured here"),
    }
}

async fn postgres(server: Postgres, settings: &str) -> diesel::ConnectionResult<AsyncPgConnection> {
    let (client, connection) = server
        .connect()
        .await
        .map_err(|error| ConnectionError::BadConnection(error_chain(&error)))?;
    let mut connection =
        AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
    let patience = LOCK_PATIENCE.as_millis();
    connection
        .batch_execute(&format!("SET lock_timeout = {patience}; {settings}"))
        .await
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// Whether SQLite was busy with another connection's write. It says so in English only: Diesel has
/// no kind for SQLITE_BUSY and SQLITE_LOCKED.
pub fn is_busy(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    matches!(error, Error::DatabaseError(DatabaseErrorKind::Unknown, info)
        if info.message().starts_with("database is locked")
            || info.message().starts_with("database table is locked"))
}

/// The file as SQLite's URI, which never creates it: <https://www.sqlite.org/uri.html>.
pub fn sqlite_uri(path: &Path, read_only: bool) -> String {
    let escaped =
        path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{escaped}?mode={}", if read_only { "ro" } else { "rw" })
}

/// Opens a connection of SQLite's as all of ours are: patient, with foreign keys.
///
/// # Errors
/// The file is missing, or is no database.
pub fn sqlite(uri: &str) -> diesel::ConnectionResult<SqliteConnection> {
    let mut connection = SqliteConnection::establish(uri)?;
    connection
        .batch_execute(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;",
            SQLITE_BUSY.as_millis()
        ))
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

#[derive(diesel::QueryableByName)]
struct Identity {
    #[diesel(sql_type = diesel::sql_types::Text)]
    id: String,
}

impl Database {
    /// Names the database, read on one of its connections: the server, the database and the
    /// schema for PostgreSQL, the file itself for SQLite. Two services that read the same name
    /// mean the same tables.
    ///
    /// # Errors
    /// The database, or the file, cannot be read.
    pub async fn identity(&self, connection: &mut Connection) -> QueryResult<String> {
        let unreadable = |error: io::Error| diesel::result::Error::QueryBuilderError(error.into());
        match (connection, &self.url) {
            (_, DatabaseUrl::Sqlite { path, .. }) => {
                sqlite_file::identity(path).map_err(unreadable)
            }
            (Connection::Sqlite(_), DatabaseUrl::Postgres(_)) => {
                Err(diesel::result::Error::NotFound)
            }
            (Connection::Postgres(connection), DatabaseUrl::Postgres(_)) => diesel::sql_query(
                "SELECT format('postgres:%s/%s/%s', s.system_identifier, d.oid, current_schema()) \
                 AS id FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d \
                 WHERE d.datname = current_database()",
            )
            .get_result::<Identity>(connection)
            .await
            .map(|identity| identity.id),
        }
    }
}
