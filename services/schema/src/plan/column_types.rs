//! The types behind a change of a column's type, on the live database.

use analysis::{ColumnTypes, TypeChange};
use database::Connection;
use diesel::{
    OptionalExtension as _, QueryResult, QueryableByName,
    sql_types::{Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    from: String,
    #[diesel(sql_type = Nullable<Text>)]
    base: Option<String>,
    #[diesel(sql_type = Bool)]
    same_bytes: bool,
}

/// The types of a change; none where the database has no such column.
///
/// # Errors
/// The database cannot be read.
pub async fn column_types(
    connection: &mut Connection,
    change: &TypeChange,
) -> QueryResult<Option<ColumnTypes>> {
    let Connection::Postgres(connection) = connection else { return Ok(None) };
    let row = diesel::sql_query(
        "SELECT format_type(a.atttypid, a.atttypmod) AS \"from\", \
         format_type(to_regtype($3)::oid, NULL) AS base, \
         a.atttypid = coalesce(to_regtype($3), 0) OR EXISTS ( \
             SELECT FROM pg_catalog.pg_cast WHERE castsource = a.atttypid \
             AND casttarget = to_regtype($3) AND castmethod = 'b') AS same_bytes \
         FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND NOT a.attisdropped",
    )
    .bind::<Text, _>(change.table.quoted())
    .bind::<Text, _>(&change.column)
    .bind::<Text, _>(change.new_base())
    .get_result::<Row>(connection)
    .await
    .optional()?;
    Ok(row.map(|row| ColumnTypes {
        from: row.from,
        new_base: row.base,
        has_same_bytes: row.same_bytes,
    }))
}
