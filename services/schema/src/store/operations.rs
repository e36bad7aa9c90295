//! The rows of operations in the ledger.

use database::{Connection, types::Time, with_conn};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    forced::record_forced,
    kinds::{OperationKind, Outcome},
    tables::schemagate_operations,
};

/// An operation. Ids are UUIDv7, so their order is that of time.
#[derive(Clone, Debug, Deserialize, Identifiable, Insertable, Queryable, Selectable)]
#[diesel(table_name = schemagate_operations)]
pub struct Operation {
    pub id: String,
    pub kind: OperationKind,
    pub outcome: Outcome,
    /// The current revision before it.
    pub from_revision: String,
    /// The revision that it is to end at; once it has ended, the one that it ended at.
    pub to_revision: String,
    pub actor: String,
    /// The build that ran it.
    pub build: String,
    pub started_at: Time,
    pub finished_at: Option<Time>,
    /// Why it did not succeed.
    pub error: Option<String>,
}

impl Operation {
    pub const COLUMNS: &[&str] = &[
        "id",
        "kind",
        "outcome",
        "from_revision",
        "to_revision",
        "actor",
        "build",
        "started_at",
        "finished_at",
        "error",
    ];

    /// An operation that begins now.
    pub fn new(kind: OperationKind, from: &str, to: &str, actor: &str) -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            kind,
            outcome: Outcome::Running,
            from_revision: from.into(),
            to_revision: to.into(),
            actor: actor.into(),
            build: env!("CARGO_PKG_VERSION").into(),
            started_at: Time::now(),
            finished_at: None,
            error: None,
        }
    }
}

/// Records that an operation begins.
///
/// # Errors
/// The ledger cannot be written.
pub async fn begin(connection: &mut Connection, operation: &Operation) -> QueryResult<usize> {
    let insert = diesel::insert_into(schemagate_operations::table).values(operation);
    with_conn!(connection, c => insert.execute(c).await)
}

/// Records that an operation begins, and the dependents that it is forced past.
///
/// # Errors
/// The ledger cannot be written.
pub async fn begin_forced(
    connection: &mut Connection,
    operation: &Operation,
    dependents: &[String],
) -> QueryResult<()> {
    connection
        .transaction(async |connection| {
            begin(connection, operation).await?;
            record_forced(connection, &operation.id, dependents).await
        })
        .await
}

/// Records how an operation ended, and at which revision.
///
/// # Errors
/// The ledger cannot be written.
pub async fn finish(
    connection: &mut Connection,
    id: &str,
    ended: Outcome,
    revision: &str,
    why: Option<String>,
) -> QueryResult<usize> {
    use schemagate_operations::dsl::{error, finished_at, outcome, to_revision};
    let update = diesel::update(schemagate_operations::table.find(id)).set((
        outcome.eq(ended),
        to_revision.eq(revision),
        finished_at.eq(Some(Time::now())),
        error.eq(why),
    ));
    with_conn!(connection, c => update.execute(c).await)
}

/// Records the outcome of operations whose server died. Only the holder of the migration lock may
/// call this.
///
/// # Errors
/// The ledger cannot be written.
pub async fn finish_interrupted(connection: &mut Connection) -> QueryResult<usize> {
    use schemagate_operations::dsl::{error, finished_at, outcome};
    let running = schemagate_operations::table.filter(outcome.eq(Outcome::Running));
    let update = diesel::update(running).set((
        outcome.eq(Outcome::Interrupted),
        finished_at.eq(Some(Time::now())),
        error.eq(Some(
            "server died; committed steps were kept, the step in progress was rolled back",
        )),
    ));
    with_conn!(connection, c => update.execute(c).await)
}
