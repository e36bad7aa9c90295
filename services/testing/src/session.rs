//! One connection for plain SQL, to either database.

use database::{Connection, Database, with_conn};
use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use wire::error_chain;

use crate::background;

/// A connection; a refusal ends the test.
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
    /// It cannot.
    pub async fn open(url: &str) -> Self {
        let url = url.parse().unwrap_or_else(|error| panic!("{error}"));
        let database = Database::new(&url, "testing", 1);
        let connection = background::spawn(async move { database.connection().await }).await;
        let connection = connection.expect("nothing ends the fixtures' runtime");
        Self(connection.unwrap_or_else(|error| panic!("{url}: {}", error_chain(&error))))
    }

    /// Runs statements, whatever they are: a transaction stays open until it is ended.
    ///
    /// # Panics
    /// The database refuses them.
    pub async fn execute(&mut self, sql: &str) {
        with_conn!(&mut self.0, c => c.batch_execute(sql).await)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Tries statements; what the database says against them is the error.
    ///
    /// # Errors
    /// It refuses them.
    pub async fn attempt(&mut self, sql: &str) -> Result<(), String> {
        with_conn!(&mut self.0, c => c.batch_execute(sql).await).map_err(|error| error.to_string())
    }

    /// The only column of a query's rows, as text.
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
