//! What a statement does to a table apart from its rows' values: the lock that it takes, and how
//! much of the table it works through.

use sql::Name;
use squawk_syntax::{
    SyntaxNode,
    ast::{AstNode, ForeignKeyConstraint, ReferencesConstraint},
};

use crate::{LockMode, parse::name_of};

/// A table that a statement locks or works through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableAccess {
    /// The table, or an index of it.
    pub table: Name,
    /// PostgreSQL's lock; none on SQLite, where any write takes the lock of the whole database.
    pub lock: Option<LockMode>,
    /// How much of the table is worked through.
    pub work: TableWork,
}

/// How much of a table a statement works through, least first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TableWork {
    /// None of it.
    None,
    /// None of it, but the tables on the other side of foreign keys are locked too: those of a
    /// column or a constraint, or of the whole table.
    ForeignKeyPeers(Option<String>),
    /// Every row is read.
    Scan,
    /// Every row is written again.
    Rewrite,
    /// Every row is copied into a new table that takes the old one's name.
    Rebuild {
        /// The indexes and triggers that the plan creates afterwards.
        recreated: Vec<String>,
    },
}

pub(crate) fn access(
    table: Option<impl AstNode>,
    lock: LockMode,
    work: TableWork,
) -> Vec<TableAccess> {
    accesses(table.into_iter(), lock, work)
}

pub(crate) fn accesses(
    tables: impl Iterator<Item = impl AstNode>,
    lock: LockMode,
    work: TableWork,
) -> Vec<TableAccess> {
    tables
        .filter_map(|table| name_of(Some(table)))
        .map(|table| TableAccess { table, lock: Some(lock), work: work.clone() })
        .collect()
}

/// The tables that foreign keys below a node refer to: PostgreSQL puts triggers on them.
pub(crate) fn referenced_tables(node: &SyntaxNode) -> Vec<TableAccess> {
    let mut tables = Vec::new();
    for node in node.descendants() {
        let table = match ForeignKeyConstraint::cast(node.clone()) {
            Some(key) => key.table_name_ref(),
            None => ReferencesConstraint::cast(node).and_then(|key| key.table()),
        };
        tables.extend(access(table, LockMode::ShareRowExclusive, TableWork::None));
    }
    tables
}
