//! The sizes of tables.

use std::fmt;

use database::Connection;
use diesel::{
    OptionalExtension as _, QueryResult, QueryableByName,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;
use sql::Name;

use super::tables::{columns, count};

/// How large a table is.
#[derive(Debug)]
pub struct TableSize {
    /// The table; of an index, its table.
    pub table: String,
    /// How many rows it has: PostgreSQL's estimate, SQLite's count; none where it is unknown.
    pub rows: Option<u64>,
    /// How many bytes, with its indexes, where it is known.
    pub bytes: Option<u64>,
}

#[derive(QueryableByName)]
struct Sized {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    tuples: Option<i64>,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// How large a table is, or that of an index; none if it does not exist.
///
/// # Errors
/// The database cannot be read.
pub async fn table_size(
    connection: &mut Connection,
    name: &Name,
) -> QueryResult<Option<TableSize>> {
    let Connection::Postgres(connection) = connection else {
        let there = !columns(connection, name).await?.is_empty();
        let rows = if there { count(connection, &name.quoted()).await? } else { None };
        return Ok(there.then(|| TableSize { table: name.to_string(), rows, bytes: None }));
    };
    let query = diesel::sql_query(
        "WITH named AS (SELECT coalesce((SELECT indrelid FROM pg_catalog.pg_index \
             WHERE indexrelid = to_regclass($1)), to_regclass($1)::oid) AS oid), \
         parts AS (SELECT oid FROM named UNION \
             SELECT relid FROM named, pg_partition_tree(named.oid)), \
         sizes AS (SELECT sum(reltuples)::bigint AS tuples, bool_and(reltuples >= 0) AS known, \
             sum(pg_total_relation_size(oid))::bigint AS bytes \
             FROM parts JOIN pg_catalog.pg_class USING (oid) WHERE relkind IN ('r', 'm')) \
         SELECT named.oid::regclass::text AS name, CASE WHEN known THEN tuples END AS tuples, \
         coalesce(bytes, 0) AS bytes FROM sizes, named JOIN pg_catalog.pg_class c USING (oid) \
         WHERE c.relkind IN ('r', 'p', 'm')",
    );
    let query = query.bind::<Text, _>(name.quoted());
    let sized: Option<Sized> = query.get_result(connection).await.optional()?;
    Ok(sized.map(|sized| TableSize {
        table: sized.name,
        rows: sized.tuples.map(i64::unsigned_abs),
        bytes: Some(sized.bytes.unsigned_abs()),
    }))
}

impl fmt::Display for TableSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = |rows| if rows == 1 { "1 row".into() } else { format!("{rows} rows") };
        match (self.rows, self.bytes) {
            (None, None) => f.write_str("rows not counted"),
            (Some(counted), None) => f.write_str(&rows(counted)),
            (None, Some(bytes)) => write!(f, "no estimate of rows yet, {}", kib(bytes)),
            (Some(estimate), Some(bytes)) => write!(f, "about {}, {}", rows(estimate), kib(bytes)),
        }
    }
}

/// Bytes for people: PostgreSQL's pages are 8 KiB.
fn kib(bytes: u64) -> String {
    match bytes >> 10 {
        kib @ 0..10_240 => format!("{kib} KiB"),
        kib => format!("{} MiB", kib >> 10),
    }
}
