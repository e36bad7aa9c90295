use proptest::prelude::*;

use super::{TokenKind::*, *};
use crate::test_text::any_sql;

fn significant(dialect: Dialect, sql: &str) -> Vec<(TokenKind, &str)> {
    let found = tokens(dialect, sql).filter(|token| !token.kind.is_blank());
    found.map(|token| (token.kind, token.text)).collect()
}

#[test]
fn postgres_comments_nest_and_sqlite_comments_do_not() {
    let sql = "/* off /* ticket */ update */ select";
    assert_eq!(significant(Dialect::Postgres, sql), [(Word, "select")]);
    assert_eq!(
        significant(Dialect::Sqlite, sql),
        [(Word, "update"), (Symbol, "*"), (Symbol, "/"), (Word, "select")]
    );
    for dialect in Dialect::ALL {
        assert_eq!(significant(dialect, "/* open"), []);
        assert_eq!(significant(dialect, "a*/**/b -- c\nd").len(), 4);
    }
    assert_eq!(significant(Dialect::Postgres, "-- a\rb"), [(Word, "b")]);
    assert_eq!(significant(Dialect::Sqlite, "-- a\rb"), []);
}

#[test]
fn a_string_hides_what_is_in_it() {
    for (sql, string) in [
        ("'it''s; /*' a", "'it''s; /*'"),
        ("E'\\'; ' a", "E'\\'; '"),
        ("e'a'\n -- b\n '\\'' a", "e'a'\n -- b\n '\\''"),
        ("'\\' a", "'\\'"),
        ("U&'d\\0061' a", "U&'d\\0061'"),
        ("$$a; 'b$$ a", "$$a; 'b$$"),
        ("$x$ $$ $y$ $x$ a", "$x$ $$ $y$ $x$"),
        ("x'00' a", "x'00'"),
    ] {
        assert_eq!(significant(Dialect::Postgres, sql), [(String, string), (Word, "a")], "{sql}");
    }
    assert_eq!(significant(Dialect::Postgres, "a$$b;$$")[..2], [(Word, "a$$b"), (Semicolon, ";")]);
    assert_eq!(significant(Dialect::Postgres, "$1$$;$$")[2].1, "$$;$$");
    assert_eq!(
        significant(Dialect::Sqlite, "'\\' e'b' $$"),
        [(String, "'\\'"), (Word, "e"), (String, "'b'"), (Symbol, "$"), (Symbol, "$"),]
    );
}

#[test]
fn identifiers_are_quoted_by_each_database_in_its_way() {
    let quoted = [
        (QuotedIdentifier, "\"a\"\"b\""),
        (QuotedIdentifier, "[a;b]"),
        (QuotedIdentifier, "`a``b`"),
    ];
    assert_eq!(significant(Dialect::Sqlite, "\"a\"\"b\" [a;b] `a``b`"), quoted);
    let array = significant(Dialect::Postgres, "a[1;");
    assert_eq!(array, [(Word, "a"), (Open, "["), (Number, "1"), (Semicolon, ";")]);
    assert_eq!(significant(Dialect::Postgres, "U&\"a;\""), [(QuotedIdentifier, "U&\"a;\"")]);
}

#[test]
fn a_byte_order_mark_is_blank() {
    for dialect in Dialect::ALL {
        assert_eq!(significant(dialect, "\u{feff}select"), [(Word, "select")]);
    }
    assert_eq!(significant(Dialect::Postgres, "a \u{feff}b"), [(Word, "a"), (Word, "\u{feff}b")]);
    assert_eq!(significant(Dialect::Sqlite, "a \u{feff}b"), [(Word, "a"), (Word, "b")]);
    // No other blank of Unicode is one in SQL.
    assert_eq!(significant(Dialect::Postgres, "a\u{a0}b"), [(Word, "a\u{a0}b")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

    #[test]
    fn tokens_put_together_are_the_text(sql in any_sql()) {
        for dialect in Dialect::ALL {
            let mut end = 0;
            for token in tokens(dialect, &sql) {
                prop_assert!(!token.text.is_empty());
                prop_assert_eq!(token.offset, end);
                end = token.end();
            }
            prop_assert_eq!(end, sql.len());
        }
    }
}
