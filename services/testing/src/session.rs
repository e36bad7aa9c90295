//! A connection to either database for plain SQL.

use database::{Connection, Database, with_conn};
use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use wire::error_chain;

use crate::background;

/// A connection; errors end the test.
pub struct Session(Connection);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

impl Session {
    /// Connects.
    ///
    /// # Panics
    /// The connection fails.
    pub async fn open(url: &str) -> Self {
        let url = url.parse().unwrap_or_else(|error| panic!("{error}"));
        let database = Database::new(&url, "testing", 1);
        let connection = background::spawn(async move { database.connection().await }).await;
        let connection = connection.expect("nothing ends the fixtures' runtime");
        Self(connection.unwrap_or_else(|error| panic!("{url}: {}", error_chain(&error))))
    }

    /// Runs statements; a transaction stays open until it is ended.
    ///
    /// # Panics
    /// The database refuses them.
    pub async fn execute(&mut self, sql: &str) {
        with_conn!(&mut self.0, c => c.batch_execute(sql).await)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs statements and returns the database's error.
    ///
    /// # Errors
    /// The database refuses them.
    pub async fn attempt(&mut self, sql: &str) -> Result<(), String> {
        with_conn!(&mut self.0, c => c.batch_execute(sql).await).map_err(|error| error.to_string())
    }

    /// Runs a query; returns its only column as text.
    ///
    /// # Panics
    /// The database refuses the query.
    pub async fn column(&mut self, query: &str) -> Vec<Option<String>> {
        let query =
            format!("WITH r(value) AS ({query}) SELECT CAST(value AS text) AS value FROM r");
        let rows: Vec<Row> = with_conn!(&mut self.0, c => diesel::sql_query(&query).load(c).await)
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        rows.into_iter().map(|row| row.value).collect()
    }
}
