//! Taking over the history that Alembic keeps.

use std::collections::BTreeSet;

use database::Connection;
use diesel::QueryResult;

use crate::store::{History, Operation, OperationKind, stamp::stamp};

/// The actor of the stamp.
const ALEMBIC: &str = "alembic_version";

/// Records as ours what Alembic's history says is applied.
pub(super) async fn take_over_alembic(
    connection: &mut Connection,
    history: &History,
) -> QueryResult<()> {
    let revision = history.current();
    let operation = Operation::new(OperationKind::Stamp, "", revision, ALEMBIC);
    stamp(connection, &operation, &BTreeSet::new(), &history.applied, &[]).await?;
    tracing::info!(revision, "imported the Alembic history");
    Ok(())
}
