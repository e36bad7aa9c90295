//! The clock that leases go by: the database's own, so that replicas whose clocks differ agree.

use database::{
    Connection,
    types::{Instant, Time},
};
use diesel::{QueryResult, dsl::sql};
use diesel_async::RunQueryDsl as _;

/// The time on the database's clock; SQLite has none but this machine's.
pub async fn now(connection: &mut Connection) -> QueryResult<Time> {
    match connection {
        Connection::Postgres(connection) => {
            diesel::select(sql::<Instant>("clock_timestamp()")).get_result(connection).await
        }
        Connection::Sqlite(_) => Ok(Time::now()),
    }
}
