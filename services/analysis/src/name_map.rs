//! What stands behind a name at each point of a plan, in the names of the database as it is now: a
//! step may rename, drop and create what a later one drops.

use std::collections::HashMap;

use sql::Name;

use crate::effect::Effect;

/// The names that stand for something else than they do in the database, up to a point of a plan.
#[derive(Debug, Default)]
pub struct NameMap {
    /// The table of the database behind a name; none where the plan created or dropped it.
    tables: HashMap<Name, Option<Name>>,
    /// The same for the columns of a table.
    columns: HashMap<(Name, String), Option<String>>,
}

impl NameMap {
    /// The table of the database behind a name, whether it exists or not; none where the plan
    /// created or dropped it.
    pub fn table(&self, name: &Name) -> Option<Name> {
        self.tables.get(name).cloned().unwrap_or_else(|| Some(name.clone()))
    }

    /// The same for a column of a table of the database.
    pub fn column(&self, table: &Name, column: &str) -> Option<String> {
        let key = (table.clone(), column.to_owned());
        self.columns.get(&key).cloned().unwrap_or(Some(key.1))
    }

    /// Applies an effect.
    pub fn apply(&mut self, op: &Effect) {
        match op {
            Effect::CreateTable { table, if_not_exists: false, .. } | Effect::DropTable(table) => {
                self.tables.insert(table.clone(), None);
            }
            // A statement about an index is about its table.
            Effect::CreateIndex { index, table } => {
                self.tables.insert(index.clone(), self.table(table));
            }
            Effect::RenameTable(from, to) => {
                let table = self.table(from);
                self.tables.insert(to.clone(), table);
                self.tables.insert(from.clone(), None);
            }
            Effect::AddColumn(table, column) | Effect::DropColumn(table, column) => {
                if let Some(table) = self.table(table) {
                    self.columns.insert((table, column.clone()), None);
                }
            }
            Effect::RenameColumn(table, from, to) => {
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
