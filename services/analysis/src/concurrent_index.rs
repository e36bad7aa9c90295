use sql::{Dialect, Statement, syntax_depth};
use squawk_syntax::{
    SourceFile,
    ast::{self, AstNode as _},
};

use crate::{
    parse::{name_of, node_text},
    stack::{MAX_SYNTAX_DEPTH, on_large_stack},
};

/// An index that a statement creates or drops beside reads and writes. The name is as
/// `to_regclass()` reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConcurrentIndex {
    /// CREATE INDEX CONCURRENTLY.
    Create(String),
    /// DROP INDEX CONCURRENTLY.
    Drop(String),
}

/// The named index of a CREATE or DROP INDEX of PostgreSQL; none for any other statement.
pub fn concurrent_index(statement: &Statement<'_>) -> Option<ConcurrentIndex> {
    if syntax_depth(Dialect::Postgres, statement.text) > MAX_SYNTAX_DEPTH {
        return None;
    }
    on_large_stack(|| match SourceFile::parse(statement.text).tree().stmts().next()? {
        ast::Stmt::CreateIndex(create) => {
            // An index is in the schema of its table, and cannot be written with one.
            let (index, table) =
                name_of(create.index()).zip(name_of(create.table_relation_name()))?;
            Some(ConcurrentIndex::Create(table.sibling(index.name).quoted()))
        }
        ast::Stmt::DropIndex(drop) => {
            let index = drop.index_refs().next()?;
            Some(ConcurrentIndex::Drop(node_text(index.syntax())))
        }
        _ => None,
    })
}
