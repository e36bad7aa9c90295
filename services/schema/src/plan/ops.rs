//! What statements can do to tables, columns and rows: the few things that decide what is lost.

use super::touches::Touch;
use ::sql::Name;

/// One thing that a statement does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// A table is made.
    Create {
        /// Its name.
        table: Name,
        /// It is there already, perhaps.
        if_not_exists: bool,
        /// It goes by itself.
        temporary: bool,
    },
    /// A table goes.
    Drop(Name),
    /// A table gets another name.
    Rename(Name, Name),
    /// A column is added.
    AddColumn(Name, String),
    /// A column goes.
    DropColumn(Name, String),
    /// A column gets another name.
    RenameColumn(Name, String, String),
    /// A column gets another type.
    SetType {
        /// The table.
        table: Name,
        /// The column.
        column: String,
        /// The type, as written.
        to: String,
        /// Its values are computed anew.
        computed: bool,
    },
    /// Rows of one table are copied into another.
    Copy {
        /// Where they are.
        from: Name,
        /// Where they go.
        into: Name,
        /// The columns that go along; none where all do.
        columns: Option<Vec<String>>,
        /// The query that finds them; none where it finds all.
        select: Option<String>,
    },
    /// Rows go.
    Delete(Name, Rows),
    /// All rows go, with CASCADE those of the tables that refer to it too.
    Truncate {
        /// The table.
        table: Name,
        /// With the tables that refer to it.
        cascade: bool,
    },
    /// Something goes, with all that depends on it.
    Cascade(Object, Name),
    /// An index is made.
    Index {
        /// Its name.
        index: Name,
        /// What it is on.
        table: Name,
    },
    /// A trigger is made.
    Trigger(String),
    /// A table is locked, or worked through.
    Touch(Touch),
    /// It has words that could mean a loss, and cannot be read.
    Unread,
}

impl Op {
    /// The tables that it names.
    pub fn names(&mut self) -> impl Iterator<Item = &mut Name> {
        let (one, other) = match self {
            Self::Create { table, .. }
            | Self::Drop(table)
            | Self::AddColumn(table, _)
            | Self::DropColumn(table, _)
            | Self::RenameColumn(table, ..)
            | Self::SetType { table, .. }
            | Self::Delete(table, _)
            | Self::Truncate { table, .. }
            | Self::Touch(Touch { table, .. }) => (Some(table), None),
            Self::Rename(from, to)
            | Self::Copy { from, into: to, .. }
            | Self::Index { index: from, table: to } => (Some(from), Some(to)),
            Self::Cascade(..) | Self::Trigger(_) | Self::Unread => (None, None),
        };
        one.into_iter().chain(other)
    }
}

/// Which rows a DELETE takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rows {
    /// All of them.
    All,
    /// Those that `SELECT .. FROM` this finds.
    From(String),
    /// Nobody can say beforehand; all at most.
    Some,
}

/// What a DROP ... CASCADE is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Object {
    /// A schema.
    Schema,
    /// A type or a domain.
    Type,
    /// An extension.
    Extension,
}
