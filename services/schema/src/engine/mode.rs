//! Whether a statement of a step outside a transaction runs in one of its own, or in autocommit.

use analysis::{ConcurrentIndex, concurrent_index};
use sql::{Dialect, Statement};

#[derive(Debug, Eq, PartialEq)]
pub(super) enum StatementMode {
    /// In a transaction with its checkpoint.
    Transaction,
    /// By itself; running it again does no harm.
    Autocommit,
    /// By itself, after an INVALID index of that name was dropped. A valid one means that it ran.
    CreateIndexConcurrently(String),
    /// By itself. No index of that name means that it ran.
    DropIndexConcurrently(String),
}

impl StatementMode {
    pub fn of(dialect: Dialect, statement: &Statement<'_>) -> Self {
        let words = statement.leading_words(dialect);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (dialect, &words[..]) {
            (Dialect::Sqlite, ["VACUUM" | "PRAGMA", ..]) => Self::Autocommit,
            (Dialect::Sqlite, _) => Self::Transaction,
            (Dialect::Postgres, ["VACUUM" | "CALL" | "REINDEX" | "CLUSTER", ..])
            | (Dialect::Postgres, ["ALTER", "SYSTEM", ..])
            | (
                Dialect::Postgres,
                ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..],
            ) => Self::Autocommit,
            (Dialect::Postgres, words) if words.contains(&"CONCURRENTLY") => {
                Self::of_concurrent(statement)
            }
            (Dialect::Postgres, _) => Self::Transaction,
        }
    }

    fn of_concurrent(statement: &Statement<'_>) -> Self {
        match concurrent_index(statement) {
            Some(ConcurrentIndex::Create(index)) => Self::CreateIndexConcurrently(index),
            Some(ConcurrentIndex::Drop(index)) => Self::DropIndexConcurrently(index),
            None => Self::Autocommit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(dialect: Dialect, text: &str) -> StatementMode {
        StatementMode::of(dialect, &Statement { text, line: 1, offset: 0 })
    }

    #[test]
    fn statements_that_no_transaction_can_hold_run_in_autocommit() {
        use Dialect::{Postgres, Sqlite};
        assert_eq!(
            mode(Postgres, "create unique index concurrently if not exists \"Ix\" on a (b)"),
            StatementMode::CreateIndexConcurrently("\"Ix\"".into())
        );
        assert_eq!(
            mode(Postgres, "create index concurrently ix on elsewhere.a (b)"),
            StatementMode::CreateIndexConcurrently("\"elsewhere\".\"ix\"".into())
        );
        assert_eq!(
            mode(Postgres, "drop index concurrently if exists s.ix"),
            StatementMode::DropIndexConcurrently("s.ix".into())
        );
        assert_eq!(mode(Postgres, "vacuum analyze a"), StatementMode::Autocommit);
        assert_eq!(mode(Sqlite, "vacuum"), StatementMode::Autocommit);
        assert_eq!(mode(Postgres, "create index ix on a (b)"), StatementMode::Transaction);
        assert_eq!(mode(Sqlite, "create table a (b text)"), StatementMode::Transaction);
    }
}
