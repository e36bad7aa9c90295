//! The dependents that an operation was forced past.

use std::collections::BTreeMap;

use database::{Connection, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::tables::schemagate_forced::{dependent, operation_id, table};

/// Records the dependents that an operation is forced past, in the open transaction.
///
/// # Errors
/// The ledger cannot be written.
pub async fn record_forced(
    connection: &mut Connection,
    operation: &str,
    dependents: &[String],
) -> QueryResult<()> {
    // One by one: Diesel has no batch insert that serves both databases.
    for name in dependents {
        let row = (operation_id.eq(operation), dependent.eq(name));
        let insert = diesel::insert_into(table).values(row);
        with_conn!(&mut *connection, c => insert.execute(c).await)?;
    }
    Ok(())
}

/// The dependents that each of these operations was forced past. The table must exist.
///
/// # Errors
/// The ledger cannot be read.
pub async fn by_operation(
    connection: &mut Connection,
    ids: &[&str],
) -> QueryResult<BTreeMap<String, Vec<String>>> {
    let rows = table.filter(operation_id.eq_any(ids)).order(dependent);
    let rows = rows.select((operation_id, dependent));
    let rows: Vec<(String, String)> = with_conn!(connection, c => rows.load(c).await)?;
    let mut forced = BTreeMap::<String, Vec<String>>::new();
    for (id, name) in rows {
        forced.entry(id).or_default().push(name);
    }
    Ok(forced)
}
