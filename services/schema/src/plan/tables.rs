//! What the live database has of the tables that a plan names. Reads only; what the role may not
//! read stays unknown, and the plan consists of what can be known.

use database::{Connection, ErrorClass, classify, with_conn};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use sql::Name;
use wire::error_chain;

/// How long a count waits for a lock.
const SET_LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
pub(super) struct TextRow {
    #[diesel(sql_type = Text)]
    pub text: String,
}

/// The schema of unqualified names.
///
/// # Errors
/// The database cannot be read.
pub async fn current_schema(connection: &mut Connection) -> QueryResult<String> {
    let Connection::Postgres(connection) = connection else { return Ok("main".into()) };
    let query = diesel::sql_query("SELECT coalesce(current_schema(), '') AS text");
    Ok(query.get_result::<TextRow>(connection).await?.text)
}

/// A table's columns, those left out that are computed from others; none if it does not
/// exist.
///
/// # Errors
/// The database cannot be read.
pub async fn columns(connection: &mut Connection, table: &Name) -> QueryResult<Vec<String>> {
    let rows: Vec<TextRow> = match connection {
        Connection::Postgres(connection) => {
            let query = diesel::sql_query(
                "SELECT attname::text AS text FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
                 WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p') AND a.attnum > 0 \
                 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum",
            );
            query.bind::<Text, _>(table.quoted()).load(connection).await?
        }
        Connection::Sqlite(connection) => {
            let query = diesel::sql_query(
                "SELECT lower(c.name) AS text FROM pragma_table_list t \
                 JOIN pragma_table_info(t.name, t.schema) c WHERE t.type IN ('table', 'virtual') \
                 AND lower(t.name) = ? AND t.schema = coalesce(?, 'main')",
            );
            let query = query.bind::<Text, _>(&table.name);
            query.bind::<Nullable<Text>, _>(&table.schema).load(connection).await?
        }
    };
    Ok(rows.into_iter().map(|row| row.text).collect())
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
                connection.batch_execute(SET_LOCK_TIMEOUT).await?;
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
                "rows that a plan would remove cannot be counted"
            );
            Ok(None)
        }
    }
}

/// The server's version, such as `15.4`; none where the database is not a server.
///
/// # Errors
/// The database cannot be read.
pub async fn server_version(connection: &mut Connection) -> QueryResult<Option<String>> {
    let Connection::Postgres(connection) = connection else { return Ok(None) };
    let query = diesel::sql_query(
        "SELECT format('%s.%s', v / 10000, v % 10000) AS text \
         FROM (SELECT current_setting('server_version_num')::int) AS version(v)",
    );
    Ok(Some(query.get_result::<TextRow>(connection).await?.text))
}
