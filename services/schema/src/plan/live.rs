//! What the database has now of the tables that a plan names. Reads only, and a question that the
//! role may not ask has no answer: a plan is made of what can be known.

use database::{Connection, ErrorClass, classify, with_conn};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use wire::error_chain;

use ::sql::Name;

/// How long a count waits for a table that is locked.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// A name, or a word.
#[derive(QueryableByName)]
pub(super) struct Word {
    /// It.
    #[diesel(sql_type = Text)]
    pub word: String,
}

/// What an unqualified name is in.
///
/// # Errors
/// The database cannot be read.
pub async fn schema(connection: &mut Connection) -> QueryResult<String> {
    let Connection::Postgres(connection) = connection else { return Ok("main".into()) };
    let query = diesel::sql_query("SELECT coalesce(current_schema(), '') AS word");
    Ok(query.get_result::<Word>(connection).await?.word)
}

/// A table's columns, those left out that are computed from others; none where there is no such
/// table.
///
/// # Errors
/// The database cannot be read.
pub async fn columns(connection: &mut Connection, table: &Name) -> QueryResult<Vec<String>> {
    let rows: Vec<Word> = match connection {
        Connection::Postgres(connection) => {
            let query = diesel::sql_query(
                "SELECT attname::text AS word FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
                 WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p') AND a.attnum > 0 \
                 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum",
            );
            query.bind::<Text, _>(table.quoted()).load(connection).await?
        }
        Connection::Sqlite(connection) => {
            let query = diesel::sql_query(
                "SELECT lower(c.name) AS word FROM pragma_table_list t \
                 JOIN pragma_table_info(t.name, t.schema) c WHERE t.type IN ('table', 'virtual') \
                 AND lower(t.name) = ? AND t.schema = coalesce(?, 'main')",
            );
            let query = query.bind::<Text, _>(&table.name);
            query.bind::<Nullable<Text>, _>(&table.schema).load(connection).await?
        }
    };
    Ok(rows.into_iter().map(|row| row.word).collect())
}

/// The rows that `SELECT .. FROM` a text finds; none where they cannot be counted.
///
/// # Errors
/// The connection broke.
pub async fn count(connection: &mut Connection, from: &str) -> QueryResult<Option<u64>> {
    let query = format!("SELECT count(*) AS n FROM {from}");
    let counted = connection
        .snapshot(async |connection| {
            if let Connection::Postgres(connection) = connection {
                connection.batch_execute(LOCK_TIMEOUT).await?;
            }
            with_conn!(connection, c => diesel::sql_query(&query).get_result::<Count>(c).await)
        })
        .await;
    match counted {
        Ok(count) => Ok(Some(count.n.unsigned_abs())),
        Err(error) if classify(&error) == ErrorClass::ConnectionLost => Err(error),
        Err(error) => {
            tracing::warn!(
                from,
                error = error_chain(&error),
                "rows that a plan takes cannot be counted"
            );
            Ok(None)
        }
    }
}

/// The server's version, such as `15.4`; none where the database is no server.
///
/// # Errors
/// The database cannot be read.
pub async fn version(connection: &mut Connection) -> QueryResult<Option<String>> {
    let Connection::Postgres(connection) = connection else { return Ok(None) };
    let query = diesel::sql_query(
        "SELECT format('%s.%s', v / 10000, v % 10000) AS word \
         FROM (SELECT current_setting('server_version_num')::int) AS version(v)",
    );
    Ok(Some(query.get_result::<Word>(connection).await?.word))
}
