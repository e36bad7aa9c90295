//! Operations of the ledger in pages.

use std::collections::BTreeMap;

use database::{Connection, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{forced, history::Tables, operations::Operation, tables::schemagate_operations};

/// At most `count` operations older than `before`, newest first, each with the dependents that it
/// was forced past.
///
/// # Errors
/// The ledger cannot be read.
pub async fn list_operations(
    connection: &mut Connection,
    before: Option<String>,
    count: usize,
) -> QueryResult<Vec<(Operation, Vec<String>)>> {
    use schemagate_operations::dsl::id;
    let tables = Tables::read(connection).await?;
    if !tables.ledger {
        return Ok(Vec::new());
    }
    // Above every UUID.
    let before = before.unwrap_or_else(|| "~".into());
    let page = schemagate_operations::table
        .filter(id.lt(before))
        .order(id.desc())
        .limit(i64::try_from(count).unwrap_or(i64::MAX));
    let page: Vec<Operation> =
        with_conn!(connection, c => page.select(Operation::as_select()).load(c).await)?;
    let mut forced = BTreeMap::new();
    if tables.forced {
        let ids: Vec<&str> = page.iter().map(|operation| operation.id.as_str()).collect();
        forced = forced::by_operation(connection, &ids).await?;
    }
    let with_forced = |operation: Operation| {
        let past = forced.remove(&operation.id).unwrap_or_default();
        (operation, past)
    };
    Ok(page.into_iter().map(with_forced).collect())
}
