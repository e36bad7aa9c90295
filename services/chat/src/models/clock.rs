//! The clock for leases: the database's, so that replicas whose clocks differ agree.

use database::{
    Connection,
    types::{Instant, Time},
};
use diesel::{QueryResult, dsl::sql};
use diesel_async::RunQueryDsl as _;

/// The time on the database's clock. SQLite runs in this process and has this machine's clock.
pub async fn now(connection: &mut Connection) -> QueryResult<Time> {
    match connection {
        Connection::Postgres(connection) => {
            diesel::select(sql::<Instant>("clock_timestamp()")).get_result(connection).await
        }
        Connection::Sqlite(_) => Ok(Time::now()),
    }
}
