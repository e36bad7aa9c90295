//! What SQLite's statements work through.

use squawk_syntax::ast::{AlterTableAction, Stmt};

use crate::{TableAccess, TableWork, parse::name_of};

/// <https://www.sqlite.org/lang_altertable.html>: all forms but DROP COLUMN change the schema's
/// text only. There is one lock, the database's, which any write takes.
pub fn table_accesses(stmt: &Stmt) -> Vec<TableAccess> {
    let drops = |action| matches!(action, AlterTableAction::DropColumn(_));
    let (table, work) = match stmt {
        Stmt::AlterTable(alter) if alter.actions().any(drops) => {
            (name_of(alter.table_relation_name()), TableWork::Rewrite)
        }
        Stmt::CreateIndex(create) => (name_of(create.table_relation_name()), TableWork::Scan),
        Stmt::Update(update) => (name_of(update.relation_name()), TableWork::Scan),
        Stmt::Delete(delete) => (name_of(delete.relation_name()), TableWork::Scan),
        _ => (None, TableWork::None),
    };
    table.map(|table| TableAccess { table, lock: None, work }).into_iter().collect()
}
