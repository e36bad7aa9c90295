//! A loss that was counted on the database. `effects` recognises what a statement removes, `copies` what
//! of it a step keeps, and the schema service's `plan/count_losses` counts the rest.

use std::fmt;

/// Rows, or values of a column, that a step removes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loss {
    /// What removes them.
    pub rule: LossRule,
    /// The table, for people.
    pub table: String,
    /// The column; none where whole rows are removed.
    pub column: Option<String>,
    /// How many; none where they could not be counted.
    pub rows: Option<u64>,
}

/// What removes rows or values. The names are part of the contract.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LossRule {
    /// DELETE.
    DeleteRows,
    /// DROP .. CASCADE of what the table or column depends on.
    DropCascade,
    /// ALTER TABLE .. DROP COLUMN.
    DropColumn,
    /// DROP TABLE.
    DropTable,
    /// A copy of the table that leaves something out.
    RebuildTable,
    /// TRUNCATE.
    TruncateTable,
}

impl LossRule {
    /// The name in findings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeleteRows => "delete-rows",
            Self::DropCascade => "drop-cascade",
            Self::DropColumn => "drop-column",
            Self::DropTable => "drop-table",
            Self::RebuildTable => "rebuild-table",
            Self::TruncateTable => "truncate-table",
        }
    }
}

impl Loss {
    /// `chats`, or `chats.last_message_at`.
    pub fn subject(&self) -> String {
        match &self.column {
            Some(column) => format!("{}.{column}", self.table),
            None => self.table.clone(),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_a_value = if self.column.is_some() { " with a value" } else { "" };
        let subject = self.subject();
        match self.rows {
            Some(1) => write!(f, "{subject} (1 row{with_a_value})"),
            Some(rows) => write!(f, "{subject} ({rows} rows{with_a_value})"),
            None => write!(f, "{subject} (rows that could not be counted)"),
        }
    }
}
