//! Transactions on a connection of either database.

use diesel::{
    QueryResult, SqliteConnection,
    connection::{AnsiTransactionManager as Blocking, TransactionManager as _},
};
use diesel_async::{AnsiTransactionManager, TransactionManager as _};

use super::{Connection, PostgresConnection};

impl Connection {
    /// Runs reads on one snapshot: commits of others in the meantime are not visible.
    ///
    /// # Errors
    /// Those of `read`, and of the database.
    pub async fn snapshot<R>(
        &mut self,
        read: impl AsyncFnOnce(&mut Self) -> QueryResult<R>,
    ) -> QueryResult<R> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN").await?;
        let result = read(self).await;
        // Nothing was written.
        self.rollback().await?;
        result
    }

    /// Runs writes in one transaction, and rolls it back on an error.
    ///
    /// # Errors
    /// Those of `work`, and of the database.
    pub async fn transaction<R>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> QueryResult<R>,
    ) -> QueryResult<R> {
        // A deferred transaction of SQLite begins as a reader, and becoming a writer may then fail.
        self.begin("BEGIN", "BEGIN IMMEDIATE").await?;
        match work(self).await {
            Ok(result) => self.commit().await.map(|()| result),
            Err(error) => {
                self.rollback().await?;
                Err(error)
            }
        }
    }

    async fn begin(&mut self, postgres: &str, sqlite: &'static str) -> QueryResult<()> {
        match self {
            Self::Postgres(connection) => {
                let connection: &mut PostgresConnection = connection;
                AnsiTransactionManager::begin_transaction_sql(connection, postgres).await
            }
            Self::Sqlite(connection) => {
                connection
                    .spawn_blocking(move |connection: &mut SqliteConnection| {
                        Blocking::begin_transaction_sql(connection, sqlite)
                    })
                    .await
            }
        }
    }

    async fn commit(&mut self) -> QueryResult<()> {
        match self {
            Self::Postgres(connection) => {
                let connection: &mut PostgresConnection = connection;
                AnsiTransactionManager::commit_transaction(connection).await
            }
            Self::Sqlite(connection) => {
                connection
                    .spawn_blocking(|connection: &mut SqliteConnection| {
                        Blocking::commit_transaction(connection)
                    })
                    .await
            }
        }
    }

    async fn rollback(&mut self) -> QueryResult<()> {
        match self {
            Self::Postgres(connection) => {
                let connection: &mut PostgresConnection = connection;
                AnsiTransactionManager::rollback_transaction(connection).await
            }
            Self::Sqlite(connection) => {
                connection
                    .spawn_blocking(|connection: &mut SqliteConnection| {
                        Blocking::rollback_transaction(connection)
                    })
                    .await
            }
        }
    }
}
