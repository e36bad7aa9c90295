//! What statements do to tables, columns and rows, as far as it decides what is lost.

use sql::Name;

use crate::TableAccess;

/// One thing that a statement does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Creates a table.
    CreateTable {
        table: Name,
        /// The table may exist already.
        if_not_exists: bool,
        /// The table is dropped with the session.
        temporary: bool,
    },
    /// Drops a table.
    DropTable(Name),
    /// Renames a table.
    RenameTable(Name, Name),
    /// Adds a column.
    AddColumn(Name, String),
    /// Drops a column.
    DropColumn(Name, String),
    /// Renames a column.
    RenameColumn(Name, String, String),
    /// Changes the type of a column.
    SetType {
        table: Name,
        column: String,
        /// The new type, as written.
        to: String,
        /// USING computes the values; they are not just cast.
        computed: bool,
    },
    /// Copies rows of one table into another.
    CopyRows {
        from: Name,
        into: Name,
        /// The columns that are copied; none for all.
        columns: Option<Vec<String>>,
        /// The query that selects the rows; none where it selects all.
        query: Option<String>,
    },
    /// Deletes rows.
    DeleteRows(Name, DeletedRows),
    /// Deletes all rows, with CASCADE those of the tables that refer to it too.
    Truncate { table: Name, cascade: bool },
    /// Drops an object and all that depends on it.
    DropCascade(CascadeRoot, Name),
    /// Creates an index.
    CreateIndex { index: Name, table: Name },
    /// Creates a trigger.
    CreateTrigger(String),
    /// Locks a table or works through it.
    Access(TableAccess),
    /// Has key words that may remove data and could not be parsed.
    Unparsed,
}

impl Effect {
    /// The names of the tables and indexes in it.
    pub fn names(&mut self) -> impl Iterator<Item = &mut Name> {
        let (one, other) = match self {
            Self::CreateTable { table, .. }
            | Self::DropTable(table)
            | Self::AddColumn(table, _)
            | Self::DropColumn(table, _)
            | Self::RenameColumn(table, ..)
            | Self::SetType { table, .. }
            | Self::DeleteRows(table, _)
            | Self::Truncate { table, .. }
            | Self::Access(TableAccess { table, .. }) => (Some(table), None),
            Self::RenameTable(from, to)
            | Self::CopyRows { from, into: to, .. }
            | Self::CreateIndex { index: from, table: to } => (Some(from), Some(to)),
            Self::DropCascade(..) | Self::CreateTrigger(_) | Self::Unparsed => (None, None),
        };
        one.into_iter().chain(other)
    }
}

/// Which rows a DELETE takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeletedRows {
    /// All rows.
    All,
    /// The rows that `SELECT .. FROM` with this text selects.
    Matching(String),
    /// Rows that no query can select before the statement runs; all at most.
    Unknown,
}

/// What a DROP .. CASCADE drops first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CascadeRoot {
    /// A schema.
    Schema,
    /// A type or a domain.
    Type,
    /// An extension.
    Extension,
}
