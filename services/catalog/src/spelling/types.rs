//! Types in one spelling, and which of them are equal.

use sql::Dialect;

use super::fold::fold;

/// A type by its short name: `character varying(100)` is `varchar(100)`.
pub fn type_(dialect: Dialect, declared: &str) -> String {
    let folded = fold(dialect, declared);
    if dialect == Dialect::Sqlite {
        // Without a type, a column keeps the values that it is given, as a blob column does.
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

/// Whether a column of one type holds what is written to and read from the other.
pub fn same_type(dialect: Dialect, left: &str, right: &str) -> bool {
    left == right || (dialect == Dialect::Sqlite && affinity(left) == affinity(right))
}

/// The affinity that SQLite gives a declared type: <https://www.sqlite.org/datatype3.html>.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Affinity {
    Blob,
    Numeric,
    Real,
    Text,
}

/// Integer and numeric differ in casts alone, and count as one. By SQLite's rules times and JSON have
/// numeric affinity, which keeps a text that is not a number as it is: they count as text.
pub fn affinity(type_: &str) -> Affinity {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn types_of_sqlite_are_equal_if_their_affinity_is() {
        let same = |left, right| same_type(Dialect::Sqlite, left, right);
        assert!(
            same("text", "datetime") && same("text", "json") && same("varchar(50)", "varchar(7)")
        );
        assert!(same("boolean", "integer"));
        assert!(!same("text", "integer") && !same("real", "numeric") && !same("blob", "text"));
        assert!(!same_type(Dialect::Postgres, "varchar(50)", "varchar(7)"));
    }
}
