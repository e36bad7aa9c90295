//! Defaults of columns in one spelling.

use sql::Dialect;

use super::{
    fold::{first_token, fold, parenthesised_len},
    types::{Affinity, affinity},
};

/// A default as its clause: `default '{}'`. None if it is null.
pub fn default(dialect: Dialect, type_: &str, clause: &str) -> Option<String> {
    let Some(expression) = clause.strip_prefix("default ") else {
        return Some(fold(dialect, clause));
    };
    let value = match dialect {
        Dialect::Postgres => postgres_default(expression),
        Dialect::Sqlite => sqlite_default(type_, expression),
    };
    (value != "null").then(|| format!("default {value}"))
}

fn postgres_default(expression: &str) -> String {
    // A literal is cast to the type of its column, which adds nothing.
    let literal = first_token(Dialect::Postgres, expression)
        .filter(|token| token.text.starts_with('\''))
        .map(|token| expression.split_at(token.end()));
    match (literal, expression.to_ascii_lowercase().as_str()) {
        (Some((literal, cast)), _) if cast.is_empty() || is_cast(cast) => literal.into(),
        (_, "current_timestamp" | "transaction_timestamp()") => "now()".into(),
        (_, lower) if lower.starts_with("null::") => "null".into(),
        _ => fold(Dialect::Postgres, expression),
    }
}

fn is_cast(text: &str) -> bool {
    text.strip_prefix("::").is_some_and(|type_| !type_.contains([':', '\'', '|', '+']))
}

fn sqlite_default(type_: &str, expression: &str) -> String {
    let mut bare = expression.trim();
    let is_parenthesised = |text: &str| {
        text.starts_with('(')
            && text.ends_with(')')
            && parenthesised_len(Dialect::Sqlite, text) == text.len()
    };
    while is_parenthesised(bare) {
        bare = bare[1..bare.len() - 1].trim();
    }
    // SQLite takes a default in double quotes for a text.
    let identifier = first_token(Dialect::Sqlite, bare).filter(|token| token.text == bare);
    let inner = identifier
        .and_then(|token| token.text.strip_prefix('"')?.strip_suffix('"'))
        .filter(|_| bare.len() > 1);
    if let Some(inner) = inner {
        let inner = inner.replace("\"\"", "\"");
        return sqlite_default(type_, &format!("'{}'", inner.replace('\'', "''")));
    }
    let number = bare.trim_matches('\'');
    if affinity(type_) == Affinity::Numeric && number.parse::<f64>().is_ok_and(f64::is_finite) {
        return number.into();
    }
    match fold(Dialect::Sqlite, bare).as_str() {
        "true" => "1".into(),
        "false" => "0".into(),
        "datetime('now')" | "datetime()" => "current_timestamp".into(),
        folded => folded.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
