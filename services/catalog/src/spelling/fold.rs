//! SQL in one spelling, and the places in it.

use sql::{Dialect, Token, TokenKind, tokens};

use super::name;

/// SQL in one spelling: lower case, single blanks, no comments, no needless quotes. Literals and
/// identifiers that need their quotes stay as they are.
pub fn fold(dialect: Dialect, sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    for token in tokens(dialect, sql) {
        match token.kind {
            TokenKind::Whitespace | TokenKind::Comment => push_blank(&mut out),
            TokenKind::String => push_quoted(&mut out, token.text, '\''),
            TokenKind::QuotedIdentifier => push_identifier(&mut out, token.text),
            TokenKind::Comma => {
                out.truncate(out.trim_end().len());
                out.push_str(", ");
            }
            _ => {
                if token.text == ")" {
                    out.truncate(out.trim_end().len());
                }
                push_lower_case(&mut out, token.text);
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn push_blank(out: &mut String) {
    if !out.is_empty() && !out.ends_with([' ', '(']) {
        out.push(' ');
    }
}

fn push_lower_case(out: &mut String, text: &str) {
    out.extend(text.chars().flat_map(char::to_lowercase));
}

/// The prefix of a literal, such as the `E` of `E'a'`, is a key word; the rest is a value.
fn push_quoted(out: &mut String, text: &str, quote: char) {
    let (prefix, rest) = text.split_at(text.find(quote).unwrap_or_default());
    push_lower_case(out, prefix);
    out.push_str(rest);
}

fn push_identifier(out: &mut String, text: &str) {
    match text.chars().next() {
        Some(quote @ ('"' | '`')) => {
            let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            match inner.filter(|inner| name(inner) == *inner) {
                Some(plain) => out.push_str(plain),
                None => out.push_str(text),
            }
        }
        // SQLite compares names without case.
        Some('[') => push_lower_case(out, text),
        _ => push_quoted(out, text, '"'),
    }
}

/// The text from its first opening parenthesis on.
pub fn from_parenthesis(dialect: Dialect, sql: &str) -> Option<&str> {
    let open = tokens(dialect, sql).find(|token| token.text == "(")?;
    sql.get(open.offset..)
}

/// The length of the parenthesised run that begins a text.
pub fn parenthesised_len(dialect: Dialect, sql: &str) -> usize {
    let mut depth = 0_usize;
    for token in tokens(dialect, sql) {
        match token.text {
            "(" => depth += 1,
            ")" if depth <= 1 => return token.end(),
            ")" => depth -= 1,
            _ => {}
        }
    }
    sql.len()
}

/// The first token of a text.
pub fn first_token(dialect: Dialect, sql: &str) -> Option<Token<'_>> {
    tokens(dialect, sql).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_folds_to_one_spelling() {
        for (sql, folded) in [
            ("CHECK ( \"priority\" >=  0 )", "check (priority >= 0)"),
            ("SELECT 'It''s  A',\n\tB -- it's\n FROM t", "select 'It''s  A', b from t"),
            ("a /* ' */ in (1,2 , 3)", "a in (1, 2, 3)"),
            ("\"Mixed\" = \"plain\"", "\"Mixed\" = plain"),
            ("'open", "'open"),
            ("'", "'"),
        ] {
            for dialect in Dialect::ALL {
                assert_eq!(fold(dialect, sql), folded, "{sql}");
            }
        }
        assert_eq!(fold(Dialect::Postgres, "E'It\\'S' || $$A B$$"), "e'It\\'S' || $$A B$$");
        assert_eq!(fold(Dialect::Postgres, "a /* /* */ b */ c"), "a c");
        assert_eq!(fold(Dialect::Sqlite, "`plain` = `Mixed` = [My A]"), "plain = `Mixed` = [my a]");
    }

    #[test]
    fn parentheses_in_literals_and_comments_do_not_count() {
        let sql = "CREATE INDEX \"ix (a)\" /* ( */ ON t (lower(b), ')') WHERE b > 1";
        let covered = from_parenthesis(Dialect::Sqlite, sql).unwrap();
        assert_eq!(covered, "(lower(b), ')') WHERE b > 1");
        assert_eq!(parenthesised_len(Dialect::Sqlite, covered), "(lower(b), ')')".len());
        assert_eq!(from_parenthesis(Dialect::Sqlite, "CREATE INDEX broken"), None);
    }
}
