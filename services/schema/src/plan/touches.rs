//! What a statement does to a table beside its rows' worth: the lock that it takes, and how much
//! of the table it works through.

use ::sql::{Dialect, Name};
use squawk_syntax::ast::{AlterTableAction, Stmt};

use super::{
    locks::{self, Mode},
    sql::name_of,
};

/// A table, locked or worked through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Touch {
    /// The table; or an index, where its table is meant.
    pub table: Name,
    /// PostgreSQL's lock.
    pub lock: Option<Mode>,
    /// How much work it is.
    pub work: Work,
}

/// How much of a table a statement goes through.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Work {
    /// None of it.
    None,
    /// A part of it goes, or all: tables that foreign keys of that link with it are locked too.
    Unlink(Option<String>),
    /// Every row is read.
    Scan,
    /// Every row is written anew.
    Rewrite,
    /// Every row is copied into a new table that takes the old one's name.
    Rebuild {
        /// The indexes and triggers that are made after it.
        again: Vec<String>,
    },
}

/// What a statement touches.
pub fn touches(dialect: Dialect, stmt: &Stmt) -> Vec<Touch> {
    match dialect {
        Dialect::Postgres => locks::touches(stmt),
        Dialect::Sqlite => sqlite(stmt),
    }
}

/// <https://www.sqlite.org/lang_altertable.html>: all forms but DROP COLUMN change the schema's
/// text only. There is one lock, the database's, which any write takes.
fn sqlite(stmt: &Stmt) -> Vec<Touch> {
    let drops = |action| matches!(action, AlterTableAction::DropColumn(_));
    let (table, work) = match stmt {
        Stmt::AlterTable(alter) if alter.actions().any(drops) => {
            (name_of(alter.table_relation_name()), Work::Rewrite)
        }
        Stmt::CreateIndex(create) => (name_of(create.table_relation_name()), Work::Scan),
        Stmt::Update(update) => (name_of(update.relation_name()), Work::Scan),
        Stmt::Delete(delete) => (name_of(delete.relation_name()), Work::Scan),
        _ => (None, Work::None),
    };
    table.map(|table| Touch { table, lock: None, work }).into_iter().collect()
}
