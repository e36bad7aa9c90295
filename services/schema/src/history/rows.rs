//! Every row that the past is made of, in one statement: many ask, and the database is asked once.
//!
//! Each comes as a JSON object, which both dialects can make of any table's row. The statement
//! names only tables that are there, and says which are: so it is checked by its own answer.

use std::collections::BTreeSet;

use database::{Connection, with_conn};
use diesel::{
    QueryResult,
    backend::Backend,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::Error,
    sql_types::Text,
};
use diesel_async::RunQueryDsl;
use serde::Deserialize;
use wire::error_chain;

use super::Mark;
use crate::{dependents, ledger};

/// Whose tables are there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tables {
    /// Diesel's.
    pub diesel: bool,
    /// The ledger's.
    pub ledger: bool,
    /// The ledger's newest, which older builds do not make.
    pub forced: bool,
    /// Alembic's.
    pub alembic: bool,
}

/// A row of any of them.
#[derive(Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub(super) enum Row {
    Table { name: String },
    Applied { version: String },
    Step(Mark),
    Operation(ledger::Operation),
    Position(ledger::Position),
    Dependent(dependents::Row),
    Forced { dependent: String },
}

/// A statement of one text column. Unlike `sql_query`'s it is prepared once on each connection.
struct Prepared<'a>(&'a str);

impl Query for Prepared<'_> {
    type SqlType = Text;
}

impl QueryId for Prepared<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: Backend> QueryFragment<DB> for Prepared<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(self.0);
        Ok(())
    }
}

const DIESEL: &str = "__diesel_schema_migrations";
/// The last of the ledger's tables to be made.
const LEDGER: &str = "schemagate_dependents";
const FORCED: &str = "schemagate_forced";
const ALEMBIC: &str = "alembic_version";

/// Every row, and whose tables there are. Right at the first try where `known` is.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn read(connection: &mut Connection, known: &mut Tables) -> QueryResult<Vec<Row>> {
    let mut may_be_old = *known != Tables::default();
    loop {
        let rows = match load(connection, &statement(connection, *known)).await {
            Ok(rows) => rows,
            Err(error) => {
                *known = Tables::default();
                if may_be_old {
                    may_be_old = false;
                    continue;
                }
                return Err(error);
            }
        };
        let there = Tables::named(&rows);
        if there == *known {
            return Ok(rows);
        }
        *known = there;
    }
}

impl Tables {
    /// Whose tables there are.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read(connection: &mut Connection) -> QueryResult<Self> {
        let rows = load(connection, &statement(connection, Self::default())).await?;
        Ok(Self::named(&rows))
    }

    fn named(rows: &[Row]) -> Self {
        let name = |row: &Row| match row {
            Row::Table { name } => Some(name.clone()),
            _ => None,
        };
        let names: BTreeSet<String> = rows.iter().filter_map(name).collect();
        Self {
            diesel: names.contains(DIESEL),
            ledger: names.contains(LEDGER),
            forced: names.contains(FORCED),
            alembic: names.contains(ALEMBIC),
        }
    }
}

async fn load(connection: &mut Connection, statement: &str) -> QueryResult<Vec<Row>> {
    let items: Vec<String> =
        with_conn!(connection, c => Prepared(statement).load::<String>(c).await)?;
    let row = |item: String| {
        serde_json::from_str(&item).map_err(|error| {
            Error::DeserializationError(format!("{item}: {}", error_chain(&error)).into())
        })
    };
    items.into_iter().map(row).collect()
}

fn statement(connection: &Connection, tables: Tables) -> String {
    let named = format!("('{DIESEL}'), ('{LEDGER}'), ('{FORCED}'), ('{ALEMBIC}')");
    let (object, there) = match connection {
        Connection::Postgres(_) => (
            "json_build_object",
            format!("(VALUES {named}) AS t (name) WHERE to_regclass(name) IS NOT NULL"),
        ),
        Connection::Sqlite(_) => (
            "json_object",
            format!("sqlite_schema WHERE type = 'table' AND name IN (VALUES {named})"),
        ),
    };
    let select = |row: &str, columns: &[&str], from: &str| {
        let values: String =
            columns.iter().map(|column| format!(", '{column}', {column}")).collect();
        format!("SELECT CAST({object}('row', '{row}'{values}) AS text) AS item FROM {from}")
    };
    let mut selects = vec![select("table", &["name"], &there)];
    if tables.diesel {
        selects.push(select("applied", &["version"], DIESEL));
    }
    if tables.ledger {
        selects.extend([
            select(
                "step",
                Mark::COLUMNS,
                "schemagate_steps WHERE id IN (SELECT max(id) FROM schemagate_steps GROUP BY revision)",
            ),
            select(
                "operation",
                ledger::Operation::COLUMNS,
                "(SELECT * FROM schemagate_operations ORDER BY id DESC LIMIT 1) AS newest",
            ),
            select("position", ledger::Position::COLUMNS, "schemagate_positions"),
            select(
                "dependent",
                dependents::Row::COLUMNS,
                "schemagate_dependents WHERE expires_at > CURRENT_TIMESTAMP",
            ),
        ]);
    }
    if tables.ledger && tables.forced {
        let of_newest =
            "schemagate_forced WHERE operation_id = (SELECT max(id) FROM schemagate_operations)";
        selects.push(select("forced", &["dependent"], of_newest));
    }
    selects.join(" UNION ALL ")
}
