//! What depends on a table or refers to it: foreign keys, indexes, and what DROP .. CASCADE drops.

use analysis::CascadeRoot;
use database::Connection;
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl as _;
use sql::Name;

use super::tables::TextRow;

/// A table, or a column of one.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    schema: Option<String>,
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Nullable<Text>)]
    column: Option<String>,
}

impl Row {
    fn name(self) -> Name {
        Name { schema: self.schema, name: self.table }
    }
}

/// Reads the rows of `found(oid, sub)`, tables first.
const FOUND: &str = "\
    SELECT CASE WHEN pg_table_is_visible(c.oid) THEN NULL ELSE n.nspname::text END AS schema, \
    c.relname::text AS \"table\", a.attname::text AS \"column\" FROM found \
    JOIN pg_catalog.pg_class c ON c.oid = found.oid AND c.relkind IN ('r', 'p') \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = nullif(found.sub, 0) \
    ORDER BY a.attname IS NOT NULL, 1, 2, 3";

/// The tables that refer to one, through any number of others, and itself; where rows are
/// deleted, by foreign keys that delete along.
///
/// # Errors
/// The database cannot be read.
pub async fn referring_tables(
    connection: &mut Connection,
    table: &Name,
    deleting: bool,
) -> QueryResult<Vec<Name>> {
    let Connection::Postgres(connection) = connection else {
        // A step runs with foreign keys off.
        return Ok(vec![table.clone()]);
    };
    let query = format!(
        "WITH RECURSIVE found(oid, sub) AS (SELECT to_regclass($1)::oid, 0 UNION \
         SELECT conrelid, 0 FROM pg_catalog.pg_constraint JOIN found ON confrelid = found.oid \
         WHERE contype = 'f' AND (NOT $2 OR confdeltype = 'c')) {FOUND}"
    );
    let query = diesel::sql_query(query).bind::<Text, _>(table.quoted()).bind::<Bool, _>(deleting);
    let rows: Vec<Row> = query.load(connection).await?;
    Ok(rows.into_iter().map(Row::name).collect())
}

/// The tables that foreign keys link with one, from it and to it; or with a part of it, a column
/// or a constraint.
///
/// # Errors
/// The database cannot be read.
pub async fn foreign_key_peers(
    connection: &mut Connection,
    table: &Name,
    part: Option<&str>,
) -> QueryResult<Vec<Name>> {
    let Connection::Postgres(connection) = connection else { return Ok(Vec::new()) };
    let query = format!(
        "WITH linked(oid, other, conname, keys) AS ( \
             SELECT conrelid, confrelid, conname, conkey FROM pg_catalog.pg_constraint \
             WHERE contype = 'f' UNION ALL \
             SELECT confrelid, conrelid, conname, confkey FROM pg_catalog.pg_constraint \
             WHERE contype = 'f'), \
         found(oid, sub) AS (SELECT DISTINCT other, 0 FROM linked \
             WHERE oid = to_regclass($1) AND other <> oid AND ($2 IS NULL OR conname = $2 OR \
                 EXISTS (SELECT FROM pg_catalog.pg_attribute \
                     WHERE attrelid = oid AND attname = $2 AND attnum = ANY (keys)))) {FOUND}"
    );
    let query = diesel::sql_query(query);
    let query = query.bind::<Text, _>(table.quoted()).bind::<Nullable<Text>, _>(part);
    let rows: Vec<Row> = query.load(connection).await?;
    Ok(rows.into_iter().map(Row::name).collect())
}

/// The tables, and the columns of tables, that go when something is dropped with CASCADE: what
/// PostgreSQL would follow in pg_depend.
///
/// # Errors
/// The database cannot be read.
pub async fn cascade(
    connection: &mut Connection,
    root: CascadeRoot,
    name: &Name,
) -> QueryResult<Vec<(Option<String>, Name)>> {
    let Connection::Postgres(connection) = connection else { return Ok(Vec::new()) };
    let (catalog, oid, name) = match root {
        CascadeRoot::Schema => ("pg_namespace", "to_regnamespace($1)", name.quoted()),
        CascadeRoot::Type => ("pg_type", "to_regtype($1)", name.quoted()),
        CascadeRoot::Extension => (
            "pg_extension",
            "(SELECT oid FROM pg_catalog.pg_extension WHERE extname = $1)",
            name.name.clone(),
        ),
    };
    let query = format!(
        "WITH RECURSIVE gone(class, oid, sub) AS ( \
             SELECT '{catalog}'::regclass::oid, {oid}::oid, 0 UNION \
             SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d \
             JOIN gone ON refclassid = class AND refobjid = oid AND sub IN (0, refobjsubid)), \
         found(oid, sub) AS (SELECT oid, sub FROM gone WHERE class = 'pg_class'::regclass) \
         {FOUND}"
    );
    let query = diesel::sql_query(query).bind::<Text, _>(name);
    let rows: Vec<Row> = query.load(connection).await?;
    Ok(rows.into_iter().map(|mut row| (row.column.take(), row.name())).collect())
}

/// The indexes and triggers of a table, those of its constraints left out.
///
/// # Errors
/// The database cannot be read.
pub async fn indexes_and_triggers(
    connection: &mut Connection,
    table: &Name,
) -> QueryResult<Vec<String>> {
    let rows: Vec<TextRow> = match connection {
        Connection::Postgres(connection) => {
            let query = diesel::sql_query(
                "SELECT c.relname::text AS text FROM pg_catalog.pg_index i \
                 JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
                 WHERE i.indrelid = to_regclass($1) \
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conindid = c.oid) \
                 UNION ALL SELECT tgname::text FROM pg_catalog.pg_trigger \
                 WHERE tgrelid = to_regclass($1) AND NOT tgisinternal ORDER BY 1",
            );
            query.bind::<Text, _>(table.quoted()).load(connection).await?
        }
        Connection::Sqlite(connection) => {
            let query = diesel::sql_query(
                "SELECT lower(name) AS text FROM sqlite_schema WHERE type IN ('index', 'trigger') \
                 AND sql IS NOT NULL AND lower(tbl_name) = ? ORDER BY 1",
            );
            query.bind::<Text, _>(&table.name).load(connection).await?
        }
    };
    Ok(rows.into_iter().map(|row| row.text).collect())
}
