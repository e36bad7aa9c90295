use proptest::prelude::*;

use super::*;
use crate::{LineIndex, test_text::any_sql};

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
fn what_a_nested_comment_hides_is_no_statement() {
    let sql = "/* off /* ticket */ update a set b = 1; -- all */\nselect 1;";
    assert_eq!(texts(Dialect::Postgres, sql), ["select 1"]);
    assert_eq!(texts(Dialect::Postgres, "/* off /* ticket */ update a set b = 1;"), [""; 0]);
    assert_eq!(texts(Dialect::Sqlite, sql), ["update a set b = 1", "select 1"]);
    assert_eq!(
        texts(Dialect::Postgres, "select 1; /* off /* ticket */ ; update a; */ ;"),
        ["select 1"]
    );
}

#[test]
fn a_byte_order_mark_belongs_to_no_statement() {
    for dialect in Dialect::ALL {
        assert_eq!(texts(dialect, "\u{feff}select 1;"), ["select 1"]);
    }
}

#[test]
fn a_function_is_one_statement() {
    for function in [
        "create function f() returns int language plpgsql as $$ begin; return 1; end $$",
        "create or replace function f() returns int begin atomic select 1; select case when true \
         then 1 else 2 end; select 1 as end; end",
        "create procedure p(begin int) begin atomic insert into a values (1); end",
        "create rule r as on insert to a do also (insert into b values (1); select 1)",
        "create function begin() returns int language sql as 'select 1;'",
    ] {
        let sql = format!("{function}; select 1");
        assert_eq!(texts(Dialect::Postgres, &sql), [function, "select 1"]);
    }
    assert_eq!(texts(Dialect::Postgres, "begin; create table a (); end").len(), 3);
}

#[test]
fn a_trigger_is_one_statement() {
    for trigger in [
        "create trigger t after insert on a begin update b set c = case when 1 then 2 end; select 1; end",
        "create temp trigger t after insert on a begin select 1; ; end",
        "explain create temporary trigger t after insert on a begin select 1; end",
    ] {
        let sql = format!("{trigger}; select 2");
        assert_eq!(texts(Dialect::Sqlite, &sql), [trigger, "select 2"]);
    }
    assert_eq!(texts(Dialect::Sqlite, "create table trigger_a (b); select 1").len(), 2);
}

#[test]
fn what_cannot_be_parsed_is_kept_for_the_server() {
    for dialect in Dialect::ALL {
        assert_eq!(
            texts(dialect, "florble the grunk; select 1"),
            ["florble the grunk", "select 1"]
        );
        assert_eq!(texts(dialect, " -- nothing\n;"), [""; 0]);
        assert_eq!(texts(dialect, "select 'open"), ["select 'open"]);
    }
    assert_eq!(texts(Dialect::Postgres, "select (1; select 2"), ["select (1; select 2"]);
}

#[test]
fn leading_words_end_at_the_first_other_token() {
    let words = |dialect, sql| split(dialect, sql)[0].leading_words(dialect).join(" ");
    assert_eq!(
        words(Dialect::Postgres, "create /* /* */ x */ table \"a\" (b int)"),
        "CREATE TABLE"
    );
    assert_eq!(words(Dialect::Sqlite, "create /* /* */ x -- y\n table [a] (b)"), "CREATE X TABLE");
}

/// Whether a server would run nothing of this text.
fn is_nothing(dialect: Dialect, text: &str) -> bool {
    tokens(dialect, text).all(|token| token.kind.is_blank() || token.kind == TokenKind::Semicolon)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

    #[test]
    fn splitting_loses_nothing(sql in any_sql()) {
        for dialect in Dialect::ALL {
            let lines = LineIndex::new(&sql);
            let mut end = 0;
            for statement in split(dialect, &sql) {
                // The tokens of the whole text between two statements, not of the piece alone.
                prop_assert!(
                    tokens(dialect, &sql)
                        .filter(|token| (end..statement.offset).contains(&token.offset))
                        .all(|token| is_nothing(dialect, token.text) || token.kind.is_blank()),
                    "{dialect:?}: {:?}", &sql[end..statement.offset]
                );
                end = statement.offset + statement.text.len();
                prop_assert_eq!(&sql[statement.offset..end], statement.text);
                prop_assert!(!statement.text.is_empty());
                prop_assert_eq!(lines.line_of(statement.offset), statement.line);
                statement.leading_words(dialect);
            }
            prop_assert!(
                tokens(dialect, &sql)
                    .filter(|token| token.offset >= end)
                    .all(|token| token.kind.is_blank() || token.kind == TokenKind::Semicolon),
                "{dialect:?}: {:?}", &sql[end..]
            );
        }
    }

    #[test]
    fn a_statement_split_again_is_itself(sql in any_sql()) {
        for dialect in Dialect::ALL {
            // Whether a byte order mark is blank depends on what stands before it.
            let moved = |statement: &Statement<'_>| statement.text.contains('\u{feff}');
            for statement in split(dialect, &sql).into_iter().filter(|one| !moved(one)) {
                // A comment at its end is dropped; then it is itself.
                let again = texts(dialect, statement.text);
                prop_assert_eq!(again.len(), 1);
                prop_assert!(statement.text.starts_with(again[0]));
                prop_assert_eq!(texts(dialect, again[0]), again);
            }
        }
    }
}

/// Ten times the text takes about ten times as long: seen by counting, not by a clock.
#[test]
fn sixty_thousand_statements_are_split_in_one_pass() {
    let sql = "insert into a (b, c) values (1, 'it''s');\n".repeat(60_000);
    for dialect in Dialect::ALL {
        let statements = split(dialect, &sql);
        assert_eq!(statements.len(), 60_000);
        assert_eq!(statements[59_999].line, 60_000);
    }
}
