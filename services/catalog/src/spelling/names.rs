//! Names and literals as they stand in the text of a catalog.

use std::fmt::Write as _;

use sql::{Dialect, TokenKind, tokens};

/// A name, in quotes where it would be misread without them.
pub fn name(name: &str) -> String {
    const LEADING_WORDS: [&str; 4] = ["enum", "function", "table", "view"];
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$';
    if !name.is_empty() && name.chars().all(plain) && !LEADING_WORDS.contains(&name) {
        name.into()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// The name that begins a text, as [`name`] wrote it, and what follows.
pub fn take_name(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        let quoted = tokens(Dialect::Postgres, text).next()?.text;
        let inner = quoted.get(1..)?.strip_suffix('"')?;
        return Some((inner.replace("\"\"", "\""), &text[quoted.len()..]));
    }
    let (found, rest) = text.split_at(text.find([' ', '.']).unwrap_or(text.len()));
    (!found.is_empty()).then(|| (found.to_owned(), rest))
}

/// Texts as literals of SQL, separated by commas.
pub fn literals(texts: &[String]) -> String {
    let mut out = String::new();
    for text in texts {
        let comma = if out.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(out, "{comma}'{}'", text.replace('\'', "''"));
    }
    out
}

/// The texts of [`literals`], or none if the text is something else.
pub fn texts(literals: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for token in tokens(Dialect::Postgres, literals) {
        match token.kind {
            TokenKind::String => {
                let inner = token.text.strip_prefix('\'')?.strip_suffix('\'')?;
                found.push(inner.replace("''", "'"));
            }
            TokenKind::Comma | TokenKind::Whitespace => {}
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_back() {
        let labels = ["it's", "a, b", ""].map(String::from);
        assert_eq!(texts(&literals(&labels)).as_deref(), Some(&labels[..]));
        assert_eq!(texts("'open"), None);
        assert_eq!(texts("bare"), None);
    }
}
