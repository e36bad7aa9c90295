//! The catalog: what tables, columns, keys and indexes a database has, as data that can be
//! written down, read back and compared.
//!
//! `read` asks a live database, `text` is the form that stands in git beside each migration,
//! `compare` holds one against the other, `adopt` finds out what made a database that has no
//! history of ours, `values` what SQLite lets its columns hold, and `describe` writes the files. A *promise* is the catalog that a revision
//! leaves behind. Names that differ between two databases for no reason that anyone runs into,
//! those of constraints and the order of columns, are no part of it.

mod adopt;
mod compare;
mod describe;
mod read;
mod spelling;
mod text;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use sql::Dialect;

pub use adopt::{Fit, PromiseError, Promises, nearest};
pub use compare::{Drift, compare};
pub use describe::{DescribeError, describe, dialect, file_text, write};
pub use text::ParseError;
pub use values::misfits;

/// What one schema of PostgreSQL, or one file of SQLite, consists of. Our own tables are left
/// out, and those of other tools that keep a history of migrations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Catalog {
    /// Whose it is: equal types are spelled differently by the two.
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
    /// The columns by name; their order is nobody's business.
    pub columns: BTreeMap<String, Column>,
    /// Primary key, unique constraints, foreign keys and checks, known by what they say:
    /// `unique (chat_id, bot_id)`. The value is false for one that was never validated.
    pub constraints: BTreeMap<String, bool>,
    /// The indexes by name, without those behind a constraint.
    pub indexes: BTreeMap<String, Index>,
    /// The triggers by name, with what they do. Disabled ones are left out.
    pub triggers: BTreeMap<String, String>,
}

/// One column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Column {
    /// Its type: `varchar(100)`.
    pub type_: String,
    /// Whether it refuses nulls.
    pub not_null: bool,
    /// Where its value comes from when nobody gives one: `default now()`,
    /// `generated always as identity`.
    pub default: Option<String>,
}

/// One index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Index {
    /// What it covers, from the columns on: `(next_run_at) where enabled`.
    pub definition: String,
    /// Whether it refuses duplicates.
    pub unique: bool,
    /// False where CREATE INDEX CONCURRENTLY failed half way.
    pub valid: bool,
}

impl Catalog {
    /// A database with nothing in it.
    pub const fn empty(dialect: Dialect) -> Self {
        Self {
            dialect,
            enums: BTreeMap::new(),
            functions: BTreeMap::new(),
            tables: BTreeMap::new(),
            views: BTreeMap::new(),
        }
    }

    /// The name of everything that a migration would collide with if it made it again.
    fn names(&self) -> BTreeSet<String> {
        let within = self.tables.iter().flat_map(|(table, has)| {
            let columns = has.columns.keys().map(move |column| format!("{table}.{column}"));
            columns.chain(has.indexes.keys().map(|index| format!("index {index}")))
        });
        let types = self.enums.keys().map(|name| format!("type {name}"));
        let tables = self.tables.keys().map(|name| format!("table {name}"));
        let views = self.views.keys().map(|name| format!("view {name}"));
        types.chain(tables).chain(views).chain(within).collect()
    }
}
