//! One spelling for what both databases let people write in many: types, defaults, expressions.

use std::fmt::Write as _;

use sql::Dialect;

/// A name as it stands in the text form: quoted where it would be misread without.
pub(super) fn name(name: &str) -> String {
    const FIRST_WORDS: [&str; 4] = ["enum", "function", "table", "view"];
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$';
    if !name.is_empty() && name.chars().all(plain) && !FIRST_WORDS.contains(&name) {
        name.into()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// SQL in one spelling: lower case, single blanks, no comments, no needless quotes. What stands
/// in quotes stays as it is.
pub(super) fn fold(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql.trim_start();
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '\'' | '"' | '`' => {
                let len = quoted(rest, c);
                push_quoted(&mut out, &rest[..len]);
                len
            }
            _ if rest.starts_with("--") => {
                push_blank(&mut out);
                rest.find('\n').unwrap_or(rest.len())
            }
            _ if rest.starts_with("/*") => {
                push_blank(&mut out);
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            }
            c if c.is_whitespace() => {
                push_blank(&mut out);
                c.len_utf8()
            }
            c => {
                if matches!(c, ')' | ',') {
                    out.truncate(out.trim_end().len());
                }
                out.extend(c.to_lowercase());
                if c == ',' {
                    out.push(' ');
                }
                c.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    out.truncate(out.trim_end().len());
    out
}

fn push_blank(out: &mut String) {
    if !out.is_empty() && !out.ends_with([' ', '(']) {
        out.push(' ');
    }
}

fn push_quoted(out: &mut String, text: &str) {
    let inner = &text[1..text.len().max(2) - 1];
    if !text.starts_with('\'') && name(inner) == inner {
        out.push_str(inner);
    } else {
        out.push_str(text);
    }
}

/// The length of the quoted run that begins `text`, doubled quotes included.
pub(super) fn quoted(text: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(end) = text[at..].find(quote) {
        at += end + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// The length of the parenthesised run that begins `text`.
pub(super) fn parenthesised(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(c) = text[at..].chars().next() {
        at += match c {
            '\'' | '"' => quoted(&text[at..], c),
            _ => c.len_utf8(),
        };
        match c {
            '(' => depth += 1,
            ')' if depth <= 1 => return at,
            ')' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// A type in its short name: `character varying(100)` is `varchar(100)`.
pub(super) fn type_(dialect: Dialect, declared: &str) -> String {
    let folded = fold(declared);
    if dialect == Dialect::Sqlite {
        // Without a type, a column keeps what it is given, as a blob column does.
        return if folded.is_empty() { "blob".into() } else { folded };
    }
    let (base, array) = match folded.strip_suffix("[]") {
        Some(base) => (base, "[]"),
        None => (folded.as_str(), ""),
    };
    let short = if let Some(length) = base.strip_prefix("character varying") {
        format!("varchar{length}")
    } else if let Some(length) = base.strip_prefix("character(") {
        format!("char({length}")
    } else if let Some(precision) = zoned(base, "timestamp", " with time zone") {
        format!("timestamptz{precision}")
    } else if let Some(precision) = zoned(base, "timestamp", " without time zone") {
        format!("timestamp{precision}")
    } else {
        base.into()
    };
    short + array
}

fn zoned<'a>(type_: &'a str, base: &str, zone: &str) -> Option<&'a str> {
    type_.strip_prefix(base)?.strip_suffix(zone)
}

/// A default as the clause that makes it: `default '{}'`. None where it is null.
pub(super) fn default(dialect: Dialect, type_: &str, clause: &str) -> Option<String> {
    let Some(expression) = clause.strip_prefix("default ") else {
        return Some(fold(clause));
    };
    let value = match dialect {
        Dialect::Postgres => postgres_default(expression),
        Dialect::Sqlite => sqlite_default(type_, expression),
    };
    (value != "null").then(|| format!("default {value}"))
}

fn postgres_default(expression: &str) -> String {
    // A literal is cast to its column's type, which says nothing new.
    let literal =
        expression.starts_with('\'').then(|| expression.split_at(quoted(expression, '\'')));
    match (literal, expression.to_ascii_lowercase().as_str()) {
        (Some((literal, cast)), _) if cast.is_empty() || is_cast(cast) => literal.into(),
        (_, "current_timestamp" | "transaction_timestamp()") => "now()".into(),
        (_, lower) if lower.starts_with("null::") => "null".into(),
        _ => fold(expression),
    }
}

fn is_cast(text: &str) -> bool {
    text.strip_prefix("::").is_some_and(|type_| !type_.contains([':', '\'', '|', '+']))
}

fn sqlite_default(type_: &str, expression: &str) -> String {
    let mut bare = expression.trim();
    while bare.starts_with('(') && parenthesised(bare) == bare.len() && bare.ends_with(')') {
        bare = bare[1..bare.len() - 1].trim();
    }
    // In double quotes, a default is a text all the same.
    if bare.starts_with('"') && quoted(bare, '"') == bare.len() && bare.len() > 1 {
        let inner = bare[1..bare.len() - 1].replace("\"\"", "\"");
        return sqlite_default(type_, &format!("'{}'", inner.replace('\'', "''")));
    }
    let number = bare.trim_matches('\'');
    if affinity(type_) == Affinity::Numeric && number.parse::<f64>().is_ok_and(f64::is_finite) {
        return number.into();
    }
    match fold(bare).as_str() {
        "true" => "1".into(),
        "false" => "0".into(),
        "datetime('now')" | "datetime()" => "current_timestamp".into(),
        folded => folded.into(),
    }
}

/// Whether a column of one type holds what is written to and read from the other.
pub(super) fn same_type(dialect: Dialect, left: &str, right: &str) -> bool {
    left == right || (dialect == Dialect::Sqlite && affinity(left) == affinity(right))
}

/// What SQLite makes of a declared type: <https://www.sqlite.org/datatype3.html>.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Affinity {
    Blob,
    Numeric,
    Real,
    Text,
}

/// Integer and numeric differ in casts alone. Times and JSON have numeric affinity by the letter,
/// which leaves every text that is no number as it is: they count as the text that they hold.
fn affinity(type_: &str) -> Affinity {
    let has = |words: &[&str]| words.iter().any(|word| type_.contains(word));
    if has(&["int"]) {
        Affinity::Numeric
    } else if has(&["char", "clob", "text"]) {
        Affinity::Text
    } else if has(&["blob"]) {
        Affinity::Blob
    } else if has(&["real", "floa", "doub"]) {
        Affinity::Real
    } else if has(&["date", "json", "time"]) {
        Affinity::Text
    } else {
        Affinity::Numeric
    }
}

/// A condition without the `= true` that PostgreSQL keeps where it was written.
pub(super) fn condition(definition: &str) -> String {
    let mut folded = fold(definition);
    if let Some((before, column)) =
        folded.strip_suffix(" = true)").and_then(|text| text.rsplit_once("where ("))
    {
        folded = format!("{before}where {column}");
    }
    folded
}

/// Texts as SQL's literals, with commas between.
pub(super) fn literals(texts: &[String]) -> String {
    let mut out = String::new();
    for text in texts {
        let comma = if out.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}'{}'", text.replace('\'', "''"));
    }
    out
}

/// The texts of [`literals`]; none where it is something else.
pub(super) fn texts(literals: &str) -> Option<Vec<String>> {
    let (mut found, mut rest) = (Vec::new(), literals);
    while !rest.is_empty() {
        let len = rest.starts_with('\'').then(|| quoted(rest, '\''))?;
        let inner = rest[..len].get(1..)?.strip_suffix('\'')?;
        found.push(inner.replace("''", "'"));
        rest = &rest[len..];
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    Some(found)
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
            ("\"Mixed\" = `plain`", "\"Mixed\" = plain"),
            ("'open", "'open"),
            ("'", "'"),
        ] {
            assert_eq!(fold(sql), folded, "{sql}");
        }
    }

    #[test]
    fn equal_types_have_one_spelling() {
        for (type_name, short) in [
            ("character varying(100)", "varchar(100)"),
            ("character varying", "varchar"),
            ("character varying(5)[]", "varchar(5)[]"),
            ("character(2)", "char(2)"),
            ("timestamp with time zone", "timestamptz"),
            ("timestamp(3) without time zone", "timestamp(3)"),
            ("chat_type_enum", "chat_type_enum"),
        ] {
            assert_eq!(type_(Dialect::Postgres, type_name), short);
        }
    }

    #[test]
    fn equal_defaults_have_one_spelling() {
        let postgres = |clause: &str| default(Dialect::Postgres, "json", clause);
        assert_eq!(postgres("default '{}'::json").as_deref(), Some("default '{}'"));
        assert_eq!(postgres("default 'A'::character varying").as_deref(), Some("default 'A'"));
        assert_eq!(postgres("default CURRENT_TIMESTAMP").as_deref(), Some("default now()"));
        assert_eq!(postgres("default NULL::character varying"), None);
        assert_eq!(
            postgres("default ('a'::text || 'B'::text)").as_deref(),
            Some("default ('a'::text || 'B'::text)")
        );
        let sqlite = |type_: &str, clause: &str| {
            default(Dialect::Sqlite, type_, &format!("default {clause}")).unwrap_or_default()
        };
        for clause in ["1", "'1'", "TRUE", "(true)", "( ( 1 ) )"] {
            assert_eq!(sqlite("boolean", clause), "default 1", "{clause}");
        }
        for clause in ["CURRENT_TIMESTAMP", "(current_timestamp)", "datetime('now')"] {
            assert_eq!(sqlite("datetime", clause), "default current_timestamp", "{clause}");
        }
        assert_eq!(sqlite("varchar(100)", "\"UTC\""), "default 'UTC'");
        assert_eq!(sqlite("text", "'1'"), "default '1'");
        assert_eq!(sqlite("boolean", "'true'"), "default 'true'");
        assert_eq!(sqlite("text", "NULL"), "");
    }

    #[test]
    fn sqlite_types_are_equal_where_they_hold_the_same() {
        let same = |left, right| same_type(Dialect::Sqlite, left, right);
        assert!(
            same("text", "datetime") && same("text", "json") && same("varchar(50)", "varchar(7)")
        );
        assert!(same("boolean", "integer"));
        assert!(!same("text", "integer") && !same("real", "numeric") && !same("blob", "text"));
        assert!(!same_type(Dialect::Postgres, "varchar(50)", "varchar(7)"));
    }

    #[test]
    fn literals_go_round() {
        let labels = ["it's", "a, b", ""].map(String::from);
        assert_eq!(texts(&literals(&labels)).as_deref(), Some(&labels[..]));
        assert_eq!(texts("'open"), None);
        assert_eq!(texts("bare"), None);
    }
}
