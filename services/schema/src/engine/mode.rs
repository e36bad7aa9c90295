//! Whether a statement of a step outside a transaction runs in one of its own, or in autocommit.

use sql::{Dialect, Statement};
use squawk_syntax::{
    SourceFile, SyntaxNode,
    ast::{self, AstNode as _},
};

use crate::syntax::name_of;

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
        let text = |node: &SyntaxNode| node.text().to_string().trim().to_owned();
        match SourceFile::parse(statement.text).tree().stmts().next() {
            Some(ast::Stmt::CreateIndex(create)) => {
                // An index is in the schema of its table, and its name cannot be qualified.
                name_of(create.index()).zip(name_of(create.table_relation_name())).map_or(
                    Self::Autocommit,
                    |(index, table)| {
                        Self::CreateIndexConcurrently(table.sibling(index.name).quoted())
                    },
                )
            }
            Some(ast::Stmt::DropIndex(drop)) => {
                let index = drop.index_refs().next();
                index.map_or(Self::Autocommit, |index| {
                    Self::DropIndexConcurrently(text(index.syntax()))
                })
            }
            _ => Self::Autocommit,
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
