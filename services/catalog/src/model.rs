//! A catalog as data.

use std::collections::BTreeMap;

use sql::Dialect;

/// What one schema of PostgreSQL, or one file of SQLite, consists of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Catalog {
    /// Whose catalog it is: equal types are spelled differently by the two databases.
    pub dialect: Dialect,
    /// The labels of each enum type, in their order. SQLite has none.
    pub enums: BTreeMap<String, Vec<String>>,
    /// Functions with their arguments and result: `f(integer)` gives `text`. SQLite has none.
    pub functions: BTreeMap<String, String>,
    /// The tables by name.
    pub tables: BTreeMap<String, Table>,
    /// The queries behind views, materialized ones too.
    pub views: BTreeMap<String, String>,
}

/// One table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    /// The columns by name. Their order is not compared.
    pub columns: BTreeMap<String, Column>,
    /// Primary key, unique constraints, foreign keys and checks, by their definition:
    /// `unique (chat_id, bot_id)`. The value is false for a constraint that is not validated.
    pub constraints: BTreeMap<String, bool>,
    /// The indexes by name, without those behind a constraint.
    pub indexes: BTreeMap<String, Index>,
    /// The triggers by name, with their definition. Disabled ones are left out.
    pub triggers: BTreeMap<String, String>,
}

/// One column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Column {
    /// The type: `varchar(100)`.
    pub type_: String,
    /// Whether the column refuses nulls.
    pub not_null: bool,
    /// The value of a row that gives none: `default now()`, `generated always as identity`.
    pub default: Option<String>,
}

/// One index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Index {
    /// What it covers, from the columns on: `(next_run_at) where enabled`.
    pub definition: String,
    /// Whether it refuses duplicates.
    pub unique: bool,
    /// False after a CREATE INDEX CONCURRENTLY that failed.
    pub valid: bool,
}

impl Catalog {
    /// The catalog of an empty database.
    pub const fn empty(dialect: Dialect) -> Self {
        Self {
            dialect,
            enums: BTreeMap::new(),
            functions: BTreeMap::new(),
            tables: BTreeMap::new(),
            views: BTreeMap::new(),
        }
    }
}
