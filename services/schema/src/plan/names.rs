//! What stands under a name at each point of a plan, in terms of the database as it is now: a
//! step may rename, drop and make again what a later one drops.

use ::sql::Name;
use std::collections::HashMap;

use super::ops::Op;

/// The names that do not mean what they mean in the database, up to a point of a plan.
#[derive(Debug, Default)]
pub struct Names {
    /// The table of the database that a name means; none where the plan made or dropped it.
    tables: HashMap<Name, Option<Name>>,
    /// The same for the columns of a table of the database.
    columns: HashMap<(Name, String), Option<String>>,
}

impl Names {
    /// The table of the database that has this name now, if it exists there at all; none where
    /// the plan made it, or dropped it.
    pub fn table(&self, name: &Name) -> Option<Name> {
        self.tables.get(name).cloned().unwrap_or_else(|| Some(name.clone()))
    }

    /// The same for a column of such a table.
    pub fn column(&self, table: &Name, column: &str) -> Option<String> {
        let key = (table.clone(), column.to_owned());
        self.columns.get(&key).cloned().unwrap_or(Some(key.1))
    }

    /// Goes on behind what a statement does.
    pub fn follow(&mut self, op: &Op) {
        match op {
            Op::Create { table, if_not_exists: false, .. } | Op::Drop(table) => {
                self.tables.insert(table.clone(), None);
            }
            // What is said of an index is meant for its table.
            Op::Index { index, table } => {
                self.tables.insert(index.clone(), self.table(table));
            }
            Op::Rename(from, to) => {
                let table = self.table(from);
                self.tables.insert(to.clone(), table);
                self.tables.insert(from.clone(), None);
            }
            Op::AddColumn(table, column) | Op::DropColumn(table, column) => {
                if let Some(table) = self.table(table) {
                    self.columns.insert((table, column.clone()), None);
                }
            }
            Op::RenameColumn(table, from, to) => {
                if let Some(table) = self.table(table) {
                    let column = self.column(&table, from);
                    self.columns.insert((table.clone(), to.clone()), column);
                    self.columns.insert((table, from.clone()), None);
                }
            }
            _ => {}
        }
    }
}
