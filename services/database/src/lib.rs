//! PostgreSQL and SQLite behind one type: [`Database`] is a pool of connections to either, and
//! [`with_conn!`] runs one query expression on whichever it is.

mod error;
mod identity;
mod oldest_usable;
mod pool;
mod postgres;
mod sqlite;
mod sqlite_file;
mod transaction;
pub mod types;
mod url;

use diesel_async::pooled_connection::deadpool::Object;

pub use error::{ErrorClass, classify, classify_code, is_busy, sqlstate, statement_position};
pub use pool::{Database, PoolError};
pub use postgres::{Postgres, PostgresConnection, PostgresTlsStream};
pub use sqlite::{AsyncSqliteConnection, open_sqlite, sqlite_uri};
pub use url::{DatabaseUrl, InvalidUrl};

/// A connection from a [`Database`]'s pool.
pub enum Connection {
    /// A connection to PostgreSQL.
    Postgres(Object<PostgresConnection>),
    /// A connection to SQLite.
    Sqlite(Object<AsyncSqliteConnection>),
}

/// Runs one query expression on a connection of either database:
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
