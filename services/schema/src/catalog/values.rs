//! What a column holds although its type says otherwise, which only SQLite allows: a boolean that
//! stands as the text `true` would be read as false.

use database::Connection;
use diesel::{QueryResult, QueryableByName, sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;

use super::Catalog;

#[derive(QueryableByName)]
struct Misfit {
    #[diesel(sql_type = Text)]
    column: String,
}

/// The columns that were promised as booleans, and hold texts. Reads whole tables: for a Stamp,
/// not for every look.
///
/// # Errors
/// The database cannot be read, or lacks what was promised.
pub async fn misfits(connection: &mut Connection, promise: &Catalog) -> QueryResult<Vec<String>> {
    let Connection::Sqlite(connection) = connection else { return Ok(Vec::new()) };
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns = promise.tables.iter().flat_map(|(table, has)| {
        let booleans = has.columns.iter().filter(|(_, column)| column.type_.starts_with("bool"));
        booleans.map(move |(column, _)| (table, column))
    });
    let queries: Vec<String> = columns
        .map(|(table, column)| {
            let named = format!("{table}.{column}").replace('\'', "''");
            format!(
                "select '{named}' as column where exists (select 1 from {} where typeof({}) = 'text')",
                quoted(table),
                quoted(column)
            )
        })
        .collect();
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<Misfit> = sql_query(queries.join(" union all ")).load(connection).await?;
    Ok(found
        .into_iter()
        .map(|Misfit { column }| format!("{column} holds texts, not booleans"))
        .collect())
}
