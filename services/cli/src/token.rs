//! `schema token` and `chat token`: a new token, and the entry that lets it in.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::PathBuf,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::random;
use serde_json::json;

use access::{FileError, Policy, check_access_file, token_sha256};

use crate::Output;

/// What every token begins with, for those who look for leaked ones.
const PREFIX: &str = "sgt_";

/// Whose token it is to be.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct TokenArgs {
    /// The caller's name, as it will stand in logs and in the ledger.
    pub name: String,
    /// What the caller may do.
    #[arg(long)]
    pub role: String,
    /// The one type of bot that it may run; with the role bot of the chat service.
    #[arg(long, value_name = "TYPE")]
    pub bot_type: Option<String>,
    /// Adds the entry to this file of callers, which is made where there is none. Services that
    /// read it take it within two seconds.
    #[arg(long, value_name = "FILE")]
    pub append: Option<PathBuf>,
    /// How the token is printed.
    #[command(flatten)]
    pub output: Output,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// With this entry, or without it, the file would be of no use.
    #[error("the file of callers would be refused: {0}")]
    Refused(#[from] FileError),
    /// Standard output is closed.
    #[error("the token cannot be written")]
    Output(#[from] io::Error),
}

impl TokenArgs {
    /// Makes a token and prints it, once and nowhere else, on standard output. The entry goes to
    /// the file, or to standard error.
    ///
    /// # Errors
    /// The entry would be refused, or cannot be written.
    pub fn run(&self, policy: &Policy) -> Result<(), TokenError> {
        let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random::<[u8; 32]>()));
        let sha256 = token_sha256(&token);
        let entry = self.entry(&sha256);
        match &self.append {
            None => drop(check_access_file(&entry, policy)?),
            Some(_) => self.append(&entry, policy)?,
        }
        if self.output.json {
            let Self { name, role, bot_type, .. } = self;
            self.output.line(json!({
                "token": token,
                "caller": { "name": name, "role": role, "bot_type": bot_type, "sha256": sha256 },
            }))?;
        } else {
            self.output.line(token)?;
        }
        if self.append.is_none() {
            self.output.note(entry.trim_end());
        }
        Ok(())
    }

    fn entry(&self, sha256: &str) -> String {
        // A basic string of TOML's is one of JSON's, for all that a name may hold.
        let quoted = |text: &str| json!(text).to_string();
        let mut entry = format!("[[caller]]\nname = {}\n", quoted(&self.name));
        entry += &format!("role = {}\n", quoted(&self.role));
        if let Some(bot_type) = &self.bot_type {
            entry += &format!("bot_type = {}\n", quoted(bot_type));
        }
        entry + &format!("sha256 = \"{sha256}\"\n")
    }

    /// Nothing is written that would be refused.
    fn append(&self, entry: &str, policy: &Policy) -> Result<(), TokenError> {
        let Some(path) = &self.append else { return Ok(()) };
        let failed = |source| TokenError::File { path: path.clone(), source };
        let before = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let gap = match before.as_str() {
            "" => "",
            text if text.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        check_access_file(&format!("{before}{gap}{entry}"), policy)?;
        let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
        file.write_all(format!("{gap}{entry}").as_bytes()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { roles: &["reader", "bot"], bound: Some("bot"), rule: |_| None };

    fn args(name: &str, role: &str, append: PathBuf) -> TokenArgs {
        TokenArgs {
            name: name.into(),
            role: role.into(),
            bot_type: (role == "bot").then(|| "echo".into()),
            append: Some(append),
            output: Output::default(),
        }
    }

    #[test]
    fn entries_are_added_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        for (name, role) in [("an \"odd\" \\ näme", "reader"), ("b", "bot")] {
            args(name, role, file.clone()).run(&POLICY).unwrap();
        }
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(check_access_file(&text, &POLICY), Ok(2));
        assert!(!text.contains(PREFIX), "{text}");

        for (name, role) in [("b", "reader"), ("c", "root")] {
            assert!(args(name, role, file.clone()).run(&POLICY).is_err());
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}
