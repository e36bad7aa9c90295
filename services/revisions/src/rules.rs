//! The rules that the files of one revision must keep, each with the fault that it prevents.

use serde::Deserialize;
use sql::Dialect;

/// The keys of `metadata.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetadataFile {
    /// Diesel reads a missing key as false as soon as the file has another: always set it.
    pub(crate) run_in_transaction: bool,
    pub(crate) compatible_from: Option<String>,
}

/// `0002_add_last_message_at` gives (`0002`, `add last message at`). Diesel's version is what
/// stands before the first `_`, without `-`.
pub(crate) fn parse_directory_name(directory: &str) -> Result<(String, String), String> {
    let (version, rest) = directory
        .split_once('_')
        .ok_or("the name has no '_' between revision and description, as in 0001_create_chats")?;
    let id = version.replace('-', "");
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("'{version}' is not a revision; use digits of one width, as in 0001"));
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if rest.is_empty() || !rest.chars().all(plain) {
        return Err(format!(
            "'{rest}' is not a description; use lower case letters, digits and '_'"
        ));
    }
    Ok((id, describe(rest)))
}

/// `add_last_message_at_to_chats` with blanks.
pub(crate) fn describe(name: &str) -> String {
    name.replace('_', " ")
}

/// The first fault of a body, with its line.
pub(crate) fn check_body(
    dialect: Dialect,
    sql: &str,
    transactional: bool,
) -> Result<(), (usize, String)> {
    let statements = sql::split(dialect, sql);
    if statements.is_empty() {
        return Err((1, "holds no statement".into()));
    }
    if let Some(offset) = sql.find('\0') {
        return Err((sql::line_of(sql, offset), "holds a NUL byte".into()));
    }
    for statement in statements {
        let words = statement.leading_words(dialect);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(command) = transaction_control(&words) {
            return Err((
                statement.line,
                format!("{command} in a revision would commit a part of it; remove it"),
            ));
        }
        if transactional && words.contains(&"CONCURRENTLY") {
            return Err((
                statement.line,
                "CONCURRENTLY cannot run in a transaction; set run_in_transaction = false".into(),
            ));
        }
    }
    Ok(())
}

/// What would end the transaction that holds the body and its bookkeeping.
fn transaction_control<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [
            first @ ("BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE"),
            ..,
        ] => Some(first),
        [first @ ("START" | "PREPARE"), "TRANSACTION", ..] => Some(first),
        _ => None,
    }
}
