//! Whom an operation went on past by force. In a table of its own: a ledger of an older build gets
//! it with the next operation, and no table that is in use is altered.

use std::collections::BTreeMap;

use database::{Connection, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Operation, begin};

diesel::table! {
    use diesel::sql_types::Text;

    /// One row a dependent that would break.
    schemagate_forced (operation_id, dependent) {
        operation_id -> Text,
        dependent -> Text,
    }
}

/// Writes that an operation begins, and whom it goes on past.
///
/// # Errors
/// The ledger cannot be written.
pub async fn begin_forced(
    connection: &mut Connection,
    operation: &Operation,
    past: &[String],
) -> QueryResult<()> {
    connection
        .transaction(async |connection| {
            begin(connection, operation).await?;
            note_forced(connection, operation, past).await
        })
        .await
}

/// Writes whom an operation goes on past, in the transaction that is open.
///
/// # Errors
/// The ledger cannot be written.
pub async fn note_forced(
    connection: &mut Connection,
    operation: &Operation,
    past: &[String],
) -> QueryResult<()> {
    use schemagate_forced::{dependent, operation_id, table};
    // One by one: SQLite takes no batch.
    for name in past {
        let row = (operation_id.eq(&operation.id), dependent.eq(name));
        let insert = diesel::insert_into(table).values(row);
        with_conn!(&mut *connection, c => insert.execute(c).await)?;
    }
    Ok(())
}

/// Whom each of these operations went on past. The table must be there.
///
/// # Errors
/// The ledger cannot be read.
pub async fn forced(
    connection: &mut Connection,
    ids: &[&str],
) -> QueryResult<BTreeMap<String, Vec<String>>> {
    use schemagate_forced::{dependent, operation_id, table};
    let rows = table.filter(operation_id.eq_any(ids)).order(dependent);
    let rows = rows.select((operation_id, dependent));
    let rows: Vec<(String, String)> = with_conn!(connection, c => rows.load(c).await)?;
    let mut forced = BTreeMap::<String, Vec<String>>::new();
    for (id, name) in rows {
        forced.entry(id).or_default().push(name);
    }
    Ok(forced)
}
