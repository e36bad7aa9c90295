//! `schema token` and `chat token`: a new token and its entry of the access file.

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

/// The prefix of every token, by which scanners find leaked ones.
const PREFIX: &str = "sgt_";

/// The flags of `token`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct TokenArgs {
    /// Name of the caller, as logs and the ledger show it
    pub name: String,
    /// Role of the caller
    #[arg(long)]
    pub role: String,
    /// The only type of bot that the caller may run; required with the chat service's role bot
    #[arg(long, value_name = "TYPE")]
    pub bot_type: Option<String>,
    /// Append the entry to this access file, which is created if missing. A running service reloads
    /// it within two seconds
    #[arg(long, value_name = "FILE")]
    pub append: Option<PathBuf>,
    /// The format of the output.
    #[command(flatten)]
    pub output: Output,
}

/// Why a token cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The access file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The entry, or what the file already holds, is not valid.
    #[error("the access file would be invalid: {0}")]
    Refused(#[from] FileError),
    /// Standard output is closed.
    #[error("cannot write the token")]
    Output(#[from] io::Error),
}

impl TokenArgs {
    /// Creates a token and prints it on standard output; it is kept nowhere. The entry goes to the
    /// access file, or to standard error.
    ///
    /// # Errors
    /// The entry is not valid, or cannot be written.
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
        // A JSON string is a valid basic string of TOML for every name that is permitted.
        let quoted = |text: &str| json!(text).to_string();
        let mut entry = format!("[[caller]]\nname = {}\n", quoted(&self.name));
        entry += &format!("role = {}\n", quoted(&self.role));
        if let Some(bot_type) = &self.bot_type {
            entry += &format!("bot_type = {}\n", quoted(bot_type));
        }
        entry + &format!("sha256 = \"{sha256}\"\n")
    }

    /// Checks the whole file with the entry before it writes.
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
    fn entries_are_appended_and_an_invalid_one_changes_nothing() {
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
