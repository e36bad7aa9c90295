//! The rules that one revision's files must keep, each with the trap that it closes.

use serde::Deserialize;
use sql::{Dialect, statements};

/// What `metadata.toml` may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetadataFile {
    /// Diesel reads a missing key as false as soon as the file has another: always set it.
    pub(crate) run_in_transaction: bool,
    pub(crate) compatible_from: Option<String>,
}

/// `0002_add_last_message_at` gives (`0002`, `add last_message_at`); Diesel takes what stands
/// before the first `_`, without `-`.
pub(crate) fn name(directory: &str) -> Result<(String, String), String> {
    let (version, rest) = directory
        .split_once('_')
        .ok_or("its name has no '_' between the revision and what it does: NNNN_name")?;
    let id = version.replace('-', "");
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("'{version}' is no revision: digits of one width, as in 0001"));
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if rest.is_empty() || !rest.chars().all(plain) {
        return Err(format!("'{rest}' is no name: lower case letters, digits and '_'"));
    }
    Ok((id, describe(rest)))
}

/// `add_last_message_at_to_chats` for people. Words stay joined where nobody can know better.
pub(crate) fn describe(name: &str) -> String {
    name.replace('_', " ")
}

/// A body that would run nothing, or end the transaction that its bookkeeping is in.
pub(crate) fn body(
    dialect: Dialect,
    sql: &str,
    transactional: bool,
) -> Result<(), (usize, String)> {
    let found = statements::split(dialect, sql);
    if found.is_empty() {
        return Err((1, "it holds no statement".into()));
    }
    if sql.contains('\0') {
        return Err((1, "it holds a NUL".into()));
    }
    for statement in found {
        let words = statement.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(what) = transaction_control(&words) {
            return Err((
                statement.line,
                format!("{what} inside a migration would commit a part of it: take it out"),
            ));
        }
        if transactional && words.contains(&"CONCURRENTLY") {
            return Err((
                statement.line,
                "CONCURRENTLY cannot run in a transaction: set run_in_transaction = false".into(),
            ));
        }
    }
    Ok(())
}

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
