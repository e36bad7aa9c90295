//! Values that a column holds although its type says otherwise, which only SQLite allows: a boolean
//! that stands as the text `true` would be read as false.

use database::Connection;
use diesel::{QueryResult, QueryableByName, sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;

use crate::{
    difference::{Deviation, Difference, Grade, Object},
    model::Catalog,
};

#[derive(QueryableByName)]
struct FoundColumn {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
}

/// The columns that are expected to be booleans and hold texts. Reads whole tables: meant for a
/// Stamp, not for every check. PostgreSQL has no such columns.
///
/// # Errors
/// The database cannot be read, or lacks an expected table or column.
pub async fn text_in_boolean_columns(
    connection: &mut Connection,
    expected: &Catalog,
) -> QueryResult<Vec<Difference>> {
    let Connection::Sqlite(connection) = connection else { return Ok(Vec::new()) };
    let columns = expected.tables.iter().flat_map(|(table, has)| {
        let booleans = has.columns.iter().filter(|(_, column)| column.type_.starts_with("bool"));
        booleans.map(move |(column, _)| (table, column))
    });
    let queries: Vec<String> = columns.map(|(table, column)| query(table, column)).collect();
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<FoundColumn> = sql_query(queries.join(" union all ")).load(connection).await?;
    let difference = |FoundColumn { table_name, column_name }| Difference {
        grade: Grade::Missing,
        object: Object::Column { table: table_name, name: column_name },
        deviation: Deviation::HoldsText,
    };
    Ok(found.into_iter().map(difference).collect())
}

fn query(table: &str, column: &str) -> String {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let identifier = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!(
        "select {} as table_name, {} as column_name \
         where exists (select 1 from {} where typeof({}) = 'text')",
        literal(table),
        literal(column),
        identifier(table),
        identifier(column)
    )
}
