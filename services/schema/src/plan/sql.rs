//! SQL as the planner reads it: one statement, parsed, and the names in it.
//!
//! squawk's parser, made for PostgreSQL, reads SQLite's statements too as far as they matter
//! here: what drops, alters, deletes and copies is written alike, and the parser goes on behind
//! what it does not know.

use ::sql::{Dialect, quote};
use squawk_syntax::{
    SourceFile,
    ast::{self, AstNode as _},
};

pub use crate::syntax::{name_of, text};

/// A statement of a body.
pub struct Statement {
    /// The line of the body at which it begins, from 1.
    pub line: usize,
    /// What it is; none where the parser does not know it.
    pub stmt: Option<ast::Stmt>,
    /// Whether all of it was understood. SQLite's often is not, beyond what matters.
    pub whole: bool,
    /// Whether its words could mean that data goes.
    pub may_lose: bool,
}

/// The statements of a body.
pub fn parse(dialect: Dialect, sql: &str) -> Vec<Statement> {
    let cut = ::sql::split(dialect, sql);
    let parsed = cut.iter().map(|cut| {
        let text = match dialect {
            Dialect::Postgres => cut.text.to_owned(),
            Dialect::Sqlite => fold(cut.text),
        };
        let file = SourceFile::parse(&text);
        let at_start = |stmt: &ast::Stmt| u32::from(stmt.syntax().text_range().start()) == 0;
        let whole = dialect == Dialect::Sqlite || file.errors().is_empty();
        Statement {
            line: cut.line,
            stmt: file.tree().stmts().next().filter(at_start),
            whole,
            may_lose: may_lose(cut.text),
        }
    });
    parsed.collect()
}

/// Whether a statement runs code that is text to the parser.
pub const fn runs_code(stmt: &ast::Stmt) -> bool {
    matches!(stmt, ast::Stmt::Do(_) | ast::Stmt::DropOwned(_))
}

/// Whether a text holds a word without which no data goes. Cheap: most migrations have none, and
/// need not be parsed before they run.
pub fn may_lose(sql: &str) -> bool {
    const WORDS: [&str; 4] = ["DELETE", "DROP", "MERGE", "TRUNCATE"];
    sql.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|word| WORDS.iter().any(|loses| word.eq_ignore_ascii_case(loses)))
}

/// SQLite's text for a parser that knows PostgreSQL's: `[a]` and `` `a` `` become `"a"`, and names
/// are in lower case, as SQLite compares them, quoted or not.
fn fold(sql: &str) -> String {
    let mut folded = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let through =
            |close: &str| rest[1..].find(close).map_or(rest.len(), |at| 1 + at + close.len());
        let len = match c {
            '-' if rest.starts_with("--") => through("\n"),
            '/' if rest.starts_with("/*") => through("*/"),
            '\'' => through("'"),
            '"' => through("\""),
            '`' => through("`"),
            '[' => through("]"),
            _ => c.len_utf8(),
        };
        let (run, behind) = rest.split_at(len);
        match c {
            '\'' => folded.push_str(run),
            // One that nothing closes is the parser's to complain of.
            '`' | '[' if len > 2 && run.ends_with(['`', ']']) => {
                folded.push_str(&quote(&run[1..len - 1].to_ascii_lowercase()));
            }
            _ => folded.push_str(&run.to_ascii_lowercase()),
        }
        rest = behind;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(dialect: Dialect, sql: &str) -> ast::Stmt {
        parse(dialect, sql).remove(0).stmt.unwrap_or_else(|| panic!("{sql} is not understood"))
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
        let kept = text(kept.syntax());
        assert_eq!(kept, "delete from a /* isn't */ where \"b\" = 'It''s A'");
    }

    #[test]
    fn what_sqlite_has_of_its_own_is_passed_over() {
        let sql = "CREATE TABLE t (id integer primary key autoincrement, b text collate nocase) \
                   without rowid, strict";
        assert!(matches!(first(Dialect::Sqlite, sql), ast::Stmt::CreateTable(_)));
        let trigger = "create trigger t after insert on a begin delete from b; end; select 1";
        let parsed = parse(Dialect::Sqlite, trigger);
        assert!(matches!(parsed[0].stmt, Some(ast::Stmt::CreateTrigger(_))));
        assert_eq!(parsed.len(), 2);
        assert!(parse(Dialect::Sqlite, "pragma writable_schema = on")[0].stmt.is_none());
    }

    #[test]
    fn only_words_of_their_own_are_suspicious() {
        for sql in ["drop table a", "TRUNCATE a", "merge into a", "references a on\ndelete cascade"]
        {
            assert!(may_lose(sql), "{sql}");
        }
        for sql in ["alter table a add deleted_at text", "create index drop_ix on a (b)", ""] {
            assert!(!may_lose(sql), "{sql}");
        }
    }
}
