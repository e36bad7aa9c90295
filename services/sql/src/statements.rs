//! Cutting a body of SQL into its statements, with the line at which each begins.

use squawk_syntax::{SourceFile, ast::AstNode as _};

use crate::Dialect;

/// One statement of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statement<'a> {
    /// Its text, without the semicolon and without comments before it.
    pub text: &'a str,
    /// The line of the body at which it begins, from 1.
    pub line: usize,
    /// Where it begins in the body, in bytes.
    pub offset: usize,
}

impl Statement<'_> {
    /// Its first words, upper case, for telling what it is: `CREATE TABLE BOTS`.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut rest = self.text;
        while words.len() < 8 {
            rest = &rest[skip_blank(rest)..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            if end == 0 {
                break;
            }
            words.push(rest[..end].to_uppercase());
            rest = &rest[end..];
        }
        words
    }
}

/// The line, from 1, of a byte of the body.
pub fn line_of(sql: &str, offset: usize) -> usize {
    1 + sql.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Cuts a body into statements. PostgreSQL's are told apart by squawk's parser, which knows
/// dollar quotes and `BEGIN ATOMIC`; SQLite's by the rule of `sqlite3_complete()`.
pub fn split(dialect: Dialect, sql: &str) -> Vec<Statement<'_>> {
    let ranges = match dialect {
        _ if is_one(sql) => vec![(0, sql.len())],
        Dialect::Postgres => postgres(sql),
        Dialect::Sqlite => sqlite(sql),
    };
    ranges
        .into_iter()
        .filter_map(|(start, end)| {
            let whole = sql.get(start..end)?;
            let offset = start + skip_blank(whole);
            let text = sql.get(offset..end)?.trim_end().trim_end_matches(';').trim_end();
            (!text.is_empty()).then(|| Statement { text, line: line_of(sql, offset), offset })
        })
        .collect()
}

/// Whether a body is one statement whatever it says: nothing but its end has a semicolon.
fn is_one(sql: &str) -> bool {
    !sql.trim_end().trim_end_matches(';').contains(';')
}

/// The body in the pieces in which it is sent. One that squawk's parser cannot read whole goes
/// out in one piece, for the server to judge: a wrong cut would break what is right.
pub fn executable(dialect: Dialect, sql: &str) -> Vec<Statement<'_>> {
    if dialect == Dialect::Postgres && !is_one(sql) && !SourceFile::parse(sql).errors().is_empty() {
        return vec![Statement { text: sql, line: 1, offset: 0 }];
    }
    split(dialect, sql)
}

fn postgres(sql: &str) -> Vec<(usize, usize)> {
    let file = SourceFile::parse(sql).tree();
    let starts: Vec<usize> =
        file.stmts().map(|statement| statement.syntax().text_range().start().into()).collect();
    let ends = starts.iter().skip(1).copied().chain([sql.len()]);
    // From one statement's first byte to the next one's: what the parser could not read stays
    // in the statement before it, and reaches the server to be refused there. Comments behind
    // the semicolon go the same way, so they are cut by hand.
    let mut ranges: Vec<(usize, usize)> = starts
        .iter()
        .zip(file.stmts())
        .zip(ends)
        .map(|((start, statement), next)| {
            let end: usize = statement.syntax().text_range().end().into();
            let tail = sql.get(end..next).unwrap_or_default();
            let tail_is_blank = skip_blank(tail.trim_start_matches([';', ' ', '\t', '\r', '\n']))
                + tail.len()
                - tail.trim_start_matches([';', ' ', '\t', '\r', '\n']).len()
                == tail.len();
            (*start, if tail_is_blank { end } else { next })
        })
        .collect();
    match starts.first() {
        // Not one statement that the parser knows: the whole body, for the server to judge.
        None => ranges.push((0, sql.len())),
        Some(first) if skip_blank(&sql[..*first]) < *first => ranges.insert(0, (0, *first)),
        Some(_) => {}
    }
    ranges
}

/// <https://www.sqlite.org/c3ref/complete.html>: a statement ends at a semicolon outside quotes
/// and comments; a CREATE TRIGGER at `; END ;`.
fn sqlite(sql: &str) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let (mut start, mut at) = (0, 0);
    // The words since the last semicolon, as many as tell a trigger or its end.
    let mut words: Vec<String> = Vec::new();
    let mut in_trigger = false;
    while let Some(next) = sql[at..].chars().next() {
        let rest = &sql[at..];
        match next {
            '\'' | '"' | '`' => at += quoted(rest, next),
            '[' => at += quoted(rest, ']'),
            '-' | '/' | ' ' | '\t' | '\r' | '\n' if skip_blank(rest) > 0 => at += skip_blank(rest),
            ';' => {
                at += 1;
                let ended = !in_trigger || words == ["END"];
                if ended {
                    ranges.push((start, at));
                    start = at;
                    in_trigger = false;
                }
                words.clear();
            }
            c if c.is_alphabetic() || c == '_' => {
                let len =
                    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                if words.len() < 4 {
                    words.push(rest[..len].to_uppercase());
                    in_trigger |= is_create_trigger(&words);
                }
                at += len;
            }
            c => {
                // Anything else between the words of an `END ;` makes it another statement.
                if words.len() < 4 {
                    words.push(c.to_string());
                }
                at += c.len_utf8();
            }
        }
    }
    ranges.push((start, sql.len()));
    ranges
}

fn is_create_trigger(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words[..], ["CREATE", "TRIGGER"] | ["CREATE", "TEMP" | "TEMPORARY", "TRIGGER"])
}

/// The length of a quoted run that begins `text`; a doubled quote ends it and begins another.
fn quoted(text: &str, close: char) -> usize {
    text[1..].find(close).map_or(text.len(), |end| 1 + end + close.len_utf8())
}

/// The length of the blanks and comments that begin `text`.
pub(crate) fn skip_blank(text: &str) -> usize {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let comment = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else {
            return text.len() - rest.len();
        };
        rest = &rest[comment..];
    }
}

/// PostgreSQL's block comments nest, SQLite's do not; nobody nests them where it matters.
fn block_comment(text: &str) -> usize {
    text.find("*/").map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(dialect: Dialect, sql: &str) -> Vec<&str> {
        split(dialect, sql).iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn both_cut_at_semicolons_outside_quotes_and_comments() {
        let sql = "-- a; b\ncreate table a (b text default 'x;''y');\n\n/* ; */ drop table \"a;b\";\n-- end\n";
        for dialect in Dialect::ALL {
            let statements = split(dialect, sql);
            assert_eq!(
                statements.iter().map(|s| (s.text, s.line)).collect::<Vec<_>>(),
                [("create table a (b text default 'x;''y')", 2), ("drop table \"a;b\"", 4)],
                "{dialect:?}"
            );
        }
    }

    #[test]
    fn a_dollar_body_is_one_statement() {
        let sql = "create function f() returns int language plpgsql as $$ begin; return 1; end $$; select 1;";
        assert_eq!(texts(Dialect::Postgres, sql).len(), 2);
    }

    #[test]
    fn a_trigger_is_one_statement() {
        let sql = "create trigger t after insert on a begin update b set c = case when 1 then 2 end; select 1; end; select 2";
        assert_eq!(texts(Dialect::Sqlite, sql), [&sql[..sql.len() - 10], "select 2"]);
    }

    #[test]
    fn what_cannot_be_parsed_is_kept_for_the_server() {
        for dialect in Dialect::ALL {
            let kept = texts(dialect, "florble the grunk; select 1").join("|");
            assert!(kept.contains("florble"), "{kept}");
            assert_eq!(texts(dialect, " -- nothing\n;"), Vec::<&str>::new());
            assert_eq!(texts(dialect, "select 'open"), ["select 'open"]);
        }
    }

    /// Pieces that begin, end or hide a statement, in any order.
    fn any_sql() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                ";",
                "'",
                "\"",
                "`",
                "[",
                "]",
                "--",
                "\n",
                "/*",
                "*/",
                "$$",
                "$a$",
                " ",
                "\\",
                "E'",
                "begin",
                "end",
                "atomic",
                "create",
                "trigger",
                "temp",
                "table",
                "select 1",
                "(",
                ")",
                "é",
                "\u{202f}",
                "\0",
                "case",
                "when",
                "function f() returns int as",
                "a",
                "1",
                ",",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,4}",
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" ").replace("  ", ""))
    }

    /// What lies between statements is nothing that a server would run.
    fn says_nothing(mut between: &str) -> bool {
        loop {
            let rest = between[skip_blank(between)..].trim_start_matches(';');
            if rest.len() == between.len() {
                return rest.is_empty();
            }
            between = rest;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

        #[test]
        fn a_cut_loses_nothing(sql in any_sql()) {
            for dialect in Dialect::ALL {
                for statements in [split(dialect, &sql), executable(dialect, &sql)] {
                    let mut end = 0;
                    for statement in &statements {
                        let between = sql.get(end..statement.offset);
                        prop_assert!(between.is_some_and(says_nothing), "{:?}: {:?}", dialect, between);
                        end = statement.offset + statement.text.len();
                        prop_assert_eq!(&sql[statement.offset..end], statement.text);
                        prop_assert_eq!(line_of(&sql, statement.offset), statement.line);
                        statement.words();
                    }
                    prop_assert!(says_nothing(&sql[end..]), "{:?}: {:?}", dialect, &sql[end..]);
                }
            }
        }
    }
}
