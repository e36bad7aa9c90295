//! All rows of a [`History`](super::History), read in one statement.
//!
//! Each row comes as a JSON object, which both dialects can make of any table's row. The statement
//! names only tables that exist and returns which do, so its own result says whether it was right.

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

use super::{
    super::{checkpoint::Checkpoint, dependents, layout, operations::Operation},
    LastStep,
};

/// Which tables exist.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tables {
    /// Diesel's.
    pub diesel: bool,
    /// The ledger's.
    pub ledger: bool,
    /// The forced dependents, which builds before 865dd92 do not create.
    pub forced: bool,
    /// The layout's version, which there is since version 2.
    pub layout: bool,
    /// Alembic's.
    pub alembic: bool,
}

#[derive(Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub(super) enum Row {
    Table { name: String },
    Applied { version: String },
    Step(LastStep),
    Operation(Operation),
    Position(Checkpoint),
    Dependent(dependents::Row),
    Forced { dependent: String },
    Layout { version: i32, build: String },
}

/// A statement of one text column. Unlike `sql_query`, it is prepared once per connection.
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
/// The last of the ledger's tables to be created.
const LEDGER: &str = "schemagate_dependents";
const FORCED: &str = "schemagate_forced";
const ALEMBIC: &str = "alembic_version";

/// Reads every row, and updates which tables are `known`. One statement where they have not changed.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn read(connection: &mut Connection, known: &mut Tables) -> QueryResult<Vec<Row>> {
    let mut may_be_outdated = *known != Tables::default();
    loop {
        let rows = match load(connection, &statement(connection, *known)).await {
            Ok(rows) => rows,
            Err(error) => {
                *known = Tables::default();
                if may_be_outdated {
                    may_be_outdated = false;
                    continue;
                }
                return Err(error);
            }
        };
        let existing = Tables::named(&rows);
        if existing == *known {
            return Ok(rows);
        }
        *known = existing;
    }
}

impl Tables {
    /// Reads which tables exist.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn read(connection: &mut Connection) -> QueryResult<Self> {
        let rows = load(connection, &statement(connection, Self::default())).await?;
        Ok(Self::named(&rows))
    }

    /// Whether this build may write to the bookkeeping without the migration lock: it exists, and
    /// its layout is not a newer build's. One statement where the layout has a recorded version.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn is_writable(connection: &mut Connection) -> QueryResult<bool> {
        let recorded = Self { layout: true, ..Self::default() };
        let sql = statement(connection, recorded);
        let rows = match load(connection, &sql).await {
            Ok(rows) => rows,
            Err(_) => load(connection, &statement(connection, Self::default())).await?,
        };
        let is_newer =
            |row: &Row| matches!(row, Row::Layout { version, .. } if *version > layout::VERSION);
        Ok(Self::named(&rows).ledger && !rows.iter().any(is_newer))
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
            layout: names.contains(layout::TABLE),
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
    let names = [DIESEL, LEDGER, FORCED, layout::TABLE, ALEMBIC];
    let named = names.map(|name| format!("('{name}')")).join(", ");
    let (object, existing) = match connection {
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
    let mut selects = vec![select("table", &["name"], &existing)];
    if tables.diesel {
        selects.push(select("applied", &["version"], DIESEL));
    }
    if tables.ledger {
        selects.extend([
            select(
                "step",
                LastStep::COLUMNS,
                "schemagate_steps WHERE id IN (SELECT max(id) FROM schemagate_steps GROUP BY revision)",
            ),
            select(
                "operation",
                Operation::COLUMNS,
                "(SELECT * FROM schemagate_operations ORDER BY id DESC LIMIT 1) AS newest",
            ),
            select("position", Checkpoint::COLUMNS, "schemagate_positions"),
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
    if tables.layout {
        let recorded = format!("({}) AS recorded", layout::READ_VERSION);
        selects.push(select("layout", &["version", "build"], &recorded));
    }
    selects.join(" UNION ALL ")
}
