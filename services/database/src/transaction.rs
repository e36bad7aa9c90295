//! Transactions over a connection of either database.

use diesel::{
    QueryResult, SqliteConnection,
    connection::{AnsiTransactionManager as Blocking, TransactionManager as _},
};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager as _};

use super::Connection;

impl Connection {
    /// Runs reads as of one moment: what others commit meanwhile is not seen.
    ///
    /// # Errors
    /// Those of `read`, and of the database.
    pub async fn snapshot<R>(
        &mut self,
        read: impl AsyncFnOnce(&mut Self) -> QueryResult<R>,
    ) -> QueryResult<R> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN").await?;
        let result = read(self).await;
        // It changed nothing, so that there is nothing to commit.
        self.rollback().await?;
        result
    }

    /// Runs writes that are committed together, or not at all.
    ///
    /// # Errors
    /// Those of `work`, and of the database.
    pub async fn transaction<R>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> QueryResult<R>,
    ) -> QueryResult<R> {
        // SQLite's would else begin as a reader's, and could not become a writer's any more.
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
                let connection: &mut AsyncPgConnection = connection;
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
                let connection: &mut AsyncPgConnection = connection;
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
                let connection: &mut AsyncPgConnection = connection;
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
