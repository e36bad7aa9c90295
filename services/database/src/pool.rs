use std::{error::Error as StdError, sync::Arc, time::Duration};

use deadpool::managed::{self, QueueMode};
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, PoolableConnection, RecyclingMethod,
        deadpool::{BuildError, Hook, Pool},
    },
    sync_connection_wrapper::SyncConnectionWrapper,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time::timeout;
use wire::error_chain;

use crate::{
    AsyncSqliteConnection, Connection, DatabaseUrl, Postgres, PostgresConnection,
    oldest_usable::OldestUsable, open_sqlite, sqlite_file::SqliteFile, sqlite_uri,
};

/// How long a caller waits for a connection from the pool.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a query of PostgreSQL waits for a lock, such as a migration's: long enough for a short
/// migration, and short enough that callers get an error before every connection waits too.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// PostgreSQL scans a whole table while it is small, and keeps that plan until autovacuum analyses
/// the table, up to a minute after it grew
/// (<https://www.postgresql.org/docs/current/runtime-config-query.html>). With sequential scans
/// disabled, the ones that remain look costly enough to be compiled, which costs more than they do.
const INDEX_SCAN_SETTINGS: &str = "SET enable_seqscan = off; SET jit = off";

/// A pool of connections to a database. Clones share it.
#[derive(Clone)]
pub struct Database {
    pool: EitherPool,
    url: DatabaseUrl,
    oldest_usable: OldestUsable,
}

#[derive(Clone)]
enum EitherPool {
    Postgres(Pool<PostgresConnection>),
    Sqlite(Pool<AsyncSqliteConnection>),
}

/// The pool has no connection to give.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A connection cannot be opened.
    #[error("the database cannot be reached")]
    Refused(#[source] Box<dyn StdError + Send + Sync>),
    /// Every connection stayed in use.
    #[error("no connection to the database became free within {CONNECTION_TIMEOUT:?}")]
    Exhausted,
}

impl Database {
    /// A pool of at most `size` connections, which are opened when they are needed.
    ///
    /// `application` is the service's name in `pg_stat_activity`.
    pub fn new(url: &DatabaseUrl, application: &str, size: usize) -> Self {
        Self::with_settings(url, application, size, "")
    }

    /// The same for a service that has an index for each of its queries: the index is used however
    /// small the table is.
    pub fn with_index_scans(url: &DatabaseUrl, application: &str, size: usize) -> Self {
        Self::with_settings(url, application, size, INDEX_SCAN_SETTINGS)
    }

    fn with_settings(
        url: &DatabaseUrl,
        application: &str,
        size: usize,
        settings: &'static str,
    ) -> Self {
        let oldest_usable = OldestUsable::now();
        let pool = match url {
            DatabaseUrl::Postgres(server) => {
                let server = server.named(application);
                let connect = move || open_postgres(server.clone(), settings).boxed();
                EitherPool::Postgres(pool(size, &oldest_usable, || {}, connect))
            }
            DatabaseUrl::Sqlite { path, read_only } => {
                let uri = sqlite_uri(path, *read_only);
                let file = Arc::new(SqliteFile::new(path, &oldest_usable));
                let opened = file.clone();
                let connect = move || {
                    opened.check();
                    let uri = uri.clone();
                    async move { open_sqlite(&uri).map(SyncConnectionWrapper::new) }.boxed()
                };
                EitherPool::Sqlite(pool(size, &oldest_usable, move || file.check(), connect))
            }
        };
        Self { pool, url: url.clone(), oldest_usable }
    }

    /// The database's URL.
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Reopens every connection before its next use. Call it when the schema changed: a connection
    /// to PostgreSQL caches types and plans.
    pub fn reopen_connections(&self) {
        self.oldest_usable.retire_all();
    }

    /// Takes a connection from the pool, within five seconds.
    ///
    /// # Errors
    /// A connection cannot be opened, or every one stays in use.
    pub async fn connection(&self) -> Result<Connection, PoolError> {
        let connection = async {
            Ok(match &self.pool {
                EitherPool::Postgres(pool) => {
                    Connection::Postgres(pool.get().await.map_err(refused)?)
                }
                EitherPool::Sqlite(pool) => Connection::Sqlite(pool.get().await.map_err(refused)?),
            })
        };
        timeout(CONNECTION_TIMEOUT, connection).await.unwrap_or(Err(PoolError::Exhausted))
    }
}

fn refused(error: impl StdError + Send + Sync + 'static) -> PoolError {
    PoolError::Refused(Box::new(error))
}

fn pool<C>(
    size: usize,
    oldest_usable: &OldestUsable,
    check: impl Fn() + Send + Sync + 'static,
    connect: impl Fn() -> BoxFuture<'static, ConnectionResult<C>> + Send + Sync + 'static,
) -> Pool<C>
where
    C: PoolableConnection + Send + 'static,
    AsyncDieselConnectionManager<C>: managed::Manager<Type = C>,
{
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |_| connect());
    // A closed connection knows that it is: no query is spent on a test before each use.
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::new_with_config("", config);
    let oldest_usable = oldest_usable.clone();
    let is_usable = Hook::sync_fn(move |_, metrics| {
        check();
        if oldest_usable.permits(metrics.created) {
            Ok(())
        } else {
            Err(managed::HookError::message("opened before the schema or the file changed"))
        }
    });
    // The connection that was used last has the warmest caches.
    let builder = Pool::builder(manager).max_size(size).queue_mode(QueueMode::Lifo);
    match builder.pre_recycle(is_usable).build() {
        Ok(pool) => pool,
        Err(BuildError::NoRuntimeSpecified) => unreachable!("the pool has no timeouts"),
    }
}

async fn open_postgres(server: Postgres, settings: &str) -> ConnectionResult<PostgresConnection> {
    let (client, connection) = server
        .connect()
        .await
        .map_err(|error| ConnectionError::BadConnection(error_chain(&error)))?;
    let lock_timeout = LOCK_TIMEOUT.as_millis();
    let settings = format!("SET lock_timeout = {lock_timeout}; {settings}");
    PostgresConnection::new(client, connection, &settings).await
}
