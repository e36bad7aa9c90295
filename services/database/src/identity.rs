use std::io;

use diesel::{QueryResult, QueryableByName, result::Error, sql_types::Text};
use diesel_async::RunQueryDsl as _;

use crate::{Connection, Database, DatabaseUrl, sqlite_file};

#[derive(QueryableByName)]
struct Identity {
    #[diesel(sql_type = Text)]
    id: String,
}

impl Database {
    /// Reads the database identity: server, database and schema for PostgreSQL, device and inode of
    /// the file for SQLite. Two services that read the same identity use the same tables.
    ///
    /// # Errors
    /// The database, or the file, cannot be read.
    pub async fn identity(&self, connection: &mut Connection) -> QueryResult<String> {
        let unreadable = |error: io::Error| Error::QueryBuilderError(error.into());
        match (connection, self.url()) {
            (_, DatabaseUrl::Sqlite { path, .. }) => {
                sqlite_file::identity(path).map_err(unreadable)
            }
            (Connection::Sqlite(_), DatabaseUrl::Postgres(_)) => Err(Error::NotFound),
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
