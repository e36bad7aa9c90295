//! One statement, parsed, and the names in it.
//!
//! squawk's parser, made for PostgreSQL, reads SQLite's statements too as far as they matter here:
//! what drops, alters, deletes and copies is written alike, and the parser skips what it does not
//! know.

use sql::{Dialect, Name, TokenKind, quote, syntax_depth, tokens};
use squawk_syntax::{
    SourceFile, SyntaxNode,
    ast::{self, AstNode},
};

use crate::stack::MAX_SYNTAX_DEPTH;

/// A statement of a body.
pub struct ParsedStatement {
    /// The line of the body at which it begins, from 1.
    pub line: usize,
    /// The syntax tree; none where the parser does not know the statement.
    pub stmt: Option<ast::Stmt>,
    /// Whether the parser understood all of it. It seldom does of SQLite's, beyond what matters.
    pub is_complete: bool,
    /// Whether it has a key word that may remove data.
    pub may_remove_data: bool,
    /// Whether it is too deep for the parser, which did not see it.
    pub is_too_deep: bool,
}

/// The statements of a body.
pub fn parse(dialect: Dialect, sql: &str) -> impl Iterator<Item = ParsedStatement> {
    let statements = sql::split(dialect, sql);
    statements.into_iter().map(move |statement| parse_one(dialect, &statement))
}

fn parse_one(dialect: Dialect, statement: &sql::Statement<'_>) -> ParsedStatement {
    let mut parsed = ParsedStatement {
        line: statement.line,
        stmt: None,
        is_complete: false,
        may_remove_data: may_remove_data(statement.text),
        is_too_deep: syntax_depth(dialect, statement.text) > MAX_SYNTAX_DEPTH,
    };
    if parsed.is_too_deep {
        return parsed;
    }
    let text = match dialect {
        Dialect::Postgres => statement.text.to_owned(),
        Dialect::Sqlite => spell_for_postgres(statement.text),
    };
    let file = SourceFile::parse(&text);
    let is_at_start = |stmt: &ast::Stmt| u32::from(stmt.syntax().text_range().start()) == 0;
    parsed.stmt = file.tree().stmts().next().filter(is_at_start);
    parsed.is_complete = dialect == Dialect::Sqlite || file.errors().is_empty();
    parsed
}

/// The first name in a node.
pub(crate) fn name_of(node: Option<impl AstNode>) -> Option<Name> {
    node?.syntax().descendants().find_map(|node| {
        let (qualifier, name) = match ast::PathRef::cast(node.clone()) {
            Some(path) => (path.qualifier(), path.segment()?.text()),
            None => {
                let path = ast::Path::cast(node)?;
                (path.qualifier(), path.segment()?.text())
            }
        };
        let schema = qualifier.and_then(|schema| Some(schema.segment()?.text()));
        Some(Name { schema, name })
    })
}

/// The text of a node without the blanks around it.
pub(crate) fn node_text(node: &SyntaxNode) -> String {
    node.text().to_string().trim().to_owned()
}

/// Whether a statement runs code that the parser sees as a string.
pub const fn runs_code(stmt: &ast::Stmt) -> bool {
    matches!(stmt, ast::Stmt::Do(_) | ast::Stmt::DropOwned(_))
}

/// Whether a text has a key word without which no data is removed, in strings and comments too.
/// This is cheap: most revisions have none, and need not be parsed before they run.
pub fn may_remove_data(sql: &str) -> bool {
    const KEY_WORDS: [&str; 4] = ["DELETE", "DROP", "MERGE", "TRUNCATE"];
    sql.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|word| KEY_WORDS.iter().any(|key_word| word.eq_ignore_ascii_case(key_word)))
}

/// SQLite's text in the spelling of PostgreSQL's parser: `[a]` and `` `a` `` become `"a"`, and names
/// are in lower case, as SQLite compares them, in quotes or not.
fn spell_for_postgres(sql: &str) -> String {
    let mut spelled = String::with_capacity(sql.len());
    for token in tokens(Dialect::Sqlite, sql) {
        let inner = match token.kind {
            TokenKind::String => {
                spelled.push_str(token.text);
                continue;
            }
            // The parser itself rejects one that is not closed.
            TokenKind::QuotedIdentifier => token
                .text
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .map(str::to_owned)
                .or_else(|| {
                    let inner = token.text.strip_prefix('`')?.strip_suffix('`')?;
                    Some(inner.replace("``", "`"))
                }),
            _ => None,
        };
        match inner {
            Some(inner) => spelled.push_str(&quote(&inner.to_ascii_lowercase())),
            None => spelled.push_str(&token.text.to_ascii_lowercase()),
        }
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(dialect: Dialect, sql: &str) -> ast::Stmt {
        parse(dialect, sql)
            .next()
            .unwrap()
            .stmt
            .unwrap_or_else(|| panic!("{sql} is not understood"))
    }

    #[test]
    fn names_are_read_as_each_database_compares_them() {
        let name = |dialect, sql| name_of(Some(first(dialect, sql))).unwrap().quoted();
        assert_eq!(name(Dialect::Postgres, "drop table Chats"), "\"chats\"");
        assert_eq!(name(Dialect::Postgres, "drop table a.\"B \"\"c\""), "\"a\".\"B \"\"c\"");
        for sql in
            ["drop table Main.Chats", "drop table [MAIN].`chats`", "drop table main.\"Chats\""]
        {
            assert_eq!(name(Dialect::Sqlite, sql), "\"main\".\"chats\"");
        }
        let kept = first(Dialect::Sqlite, "delete from A /* isn't */ where [B] = 'It''s A'");
        let kept = node_text(kept.syntax());
        assert_eq!(kept, "delete from a /* isn't */ where \"b\" = 'It''s A'");
    }

    #[test]
    fn syntax_of_sqlite_alone_is_passed_over() {
        let sql = "CREATE TABLE t (id integer primary key autoincrement, b text collate nocase) \
                   without rowid, strict";
        assert!(matches!(first(Dialect::Sqlite, sql), ast::Stmt::CreateTable(_)));
        let trigger = "create trigger t after insert on a begin delete from b; end; select 1";
        let parsed: Vec<_> = parse(Dialect::Sqlite, trigger).collect();
        assert!(matches!(parsed[0].stmt, Some(ast::Stmt::CreateTrigger(_))));
        assert_eq!(parsed.len(), 2);
        assert!(
            parse(Dialect::Sqlite, "pragma writable_schema = on").next().unwrap().stmt.is_none()
        );
    }

    #[test]
    fn key_words_count_and_parts_of_words_do_not() {
        for sql in ["drop table a", "TRUNCATE a", "merge into a", "references a on\ndelete cascade"]
        {
            assert!(may_remove_data(sql), "{sql}");
        }
        for sql in ["alter table a add deleted_at text", "create index drop_ix on a (b)", ""] {
            assert!(!may_remove_data(sql), "{sql}");
        }
    }
}
