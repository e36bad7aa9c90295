use sql::Name;

use crate::effect::{CascadeRoot, DeletedRows};

/// Rows or values that a statement removes if they exist, in the names of the database as it is
/// now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PossibleLoss {
    /// A table with its rows.
    Table(Name),
    /// A table whose rows were copied to another one before.
    Copied {
        /// The table.
        table: Name,
        /// The columns that were copied; none for all.
        kept_columns: Option<Vec<String>>,
        /// The queries that selected the copied rows; none where one selected all.
        queries: Option<Vec<String>>,
    },
    /// A column with its values.
    Column(Name, String),
    /// Rows.
    Rows(Name, DeletedRows),
    /// All rows; with `true` (CASCADE) those of the tables that refer to it too.
    Truncate(Name, bool),
    /// What depends on an object.
    Cascade(CascadeRoot, Name),
}
