//! The access file, parsed and checked as a whole: one invalid entry refuses the file.
//!
//! ```toml
//! [[caller]]
//! name = "deploy"
//! role = "operator"
//! sha256 = "<the hash that the command token prints>"
//!
//! [[caller]]
//! name = "echo-1"
//! role = "bot"
//! bot_type = "echo"
//! certificate = "echo-1.bots"
//! ```
//!
//! A token is 256 random bits, so that a plain SHA-256 of it is safe to keep and a slow hash would
//! add nothing. The file has no key for a token itself.

use std::collections::HashSet;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    caller::{Caller, RESERVED_NAMES},
    policy::Policy,
};

/// The length of the ledger's column of actors.
const MAX_NAME_BYTES: usize = 255;

/// The hash of the word `test`, which earlier documents showed as a sample: a copied file admitted
/// every caller who tries that word.
const DOCUMENTED_SAMPLE: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// SHA-256 of a token.
type TokenHash = [u8; 32];

/// What is wrong with an access file. It quotes nothing that may be secret.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum FileError {
    /// The text is not TOML, or has an unknown key.
    #[error("line {line}, column {column}: {what}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// A caller's entry is not valid.
    #[error("caller {number}: {what}")]
    Caller {
        /// The position of the caller in the file, from 1.
        number: usize,
        /// The key, and what is wrong with its value.
        what: String,
    },
    /// The file has no callers.
    #[error("no [[caller]]: every call would be refused")]
    Empty,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    caller: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: String,
    sha256: Option<String>,
    certificate: Option<String>,
    bot_type: Option<String>,
}

/// The callers of an access file.
#[derive(Debug, Default)]
pub(super) struct Callers {
    tokens: Vec<(TokenHash, Caller)>,
    certificates: Vec<(String, Caller)>,
}

impl Callers {
    pub(super) fn parse(text: &str, policy: &Policy) -> Result<Self, FileError> {
        let file: File = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        if file.caller.is_empty() {
            return Err(FileError::Empty);
        }
        let mut callers = Self::default();
        let mut names = HashSet::new();
        for (number, entry) in (1..).zip(file.caller) {
            let wrong = |what: String| FileError::Caller { number, what };
            if !names.insert(entry.name.clone()) {
                return Err(wrong(format!("name: '{}' is the name of another caller", entry.name)));
            }
            callers.add(entry, policy).map_err(wrong)?;
        }
        Ok(callers)
    }

    fn add(&mut self, entry: Entry, policy: &Policy) -> Result<(), String> {
        let Entry { name, role, sha256, certificate, bot_type } = entry;
        check_name(&name)?;
        let roles = || policy.roles.join(", ");
        let role = policy.roles.iter().copied().find(|known| *known == role);
        let role = role.ok_or_else(|| format!("role: not one of {}", roles()))?;
        match (policy.bound == Some(role), &bot_type) {
            (true, None) => return Err(format!("bot_type: required with the role {role}")),
            (false, Some(_)) => return Err(format!("bot_type: not with the role {role}")),
            (true, Some(own)) if own.is_empty() => return Err("bot_type: empty".into()),
            _ => {}
        }
        let caller = Caller::new(name, role, bot_type);
        match (sha256, certificate) {
            (Some(sha256), None) => {
                if sha256.eq_ignore_ascii_case(DOCUMENTED_SAMPLE) {
                    return Err("sha256: a sample whose token is public; create one with \
                         \"schema token\" or \"chat token\""
                        .into());
                }
                let mut hash = TokenHash::default();
                hex::decode_to_slice(&sha256, &mut hash)
                    .map_err(|_| "sha256: not 64 hexadecimal digits")?;
                if self.tokens.iter().any(|(other, _)| *other == hash) {
                    return Err("sha256: another caller has the same token".into());
                }
                self.tokens.push((hash, caller));
            }
            (None, Some(name)) => {
                if name.is_empty() {
                    return Err("certificate: empty".into());
                }
                if self.certificates.iter().any(|(other, _)| *other == name) {
                    return Err("certificate: another caller has the same name".into());
                }
                self.certificates.push((name, caller));
            }
            _ => return Err("one of sha256 and certificate is required".into()),
        }
        Ok(())
    }

    /// The caller with this token. Every entry is compared, in constant time.
    pub(super) fn find_by_token(&self, token: &[u8]) -> Option<&Caller> {
        let presented = digest(token);
        let mut found = None;
        for (hash, caller) in &self.tokens {
            if bool::from(hash.ct_eq(&presented)) {
                found = Some(caller);
            }
        }
        found
    }

    pub(super) fn find_by_certificate(&self, name: &str) -> Option<&Caller> {
        self.certificates.iter().find(|(other, _)| other == name).map(|(_, caller)| caller)
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len() + self.certificates.len()
    }
}

/// Checks an access file's text against a service's policy.
///
/// # Errors
/// It would be refused.
pub fn check_access_file(text: &str, policy: &Policy) -> Result<usize, FileError> {
    Callers::parse(text, policy).map(|callers| callers.len())
}

/// The `sha256` of a token, as an access file holds it.
pub fn token_sha256(token: &str) -> String {
    hex::encode(digest(token.as_bytes()))
}

fn digest(token: &[u8]) -> TokenHash {
    Sha256::digest(token).into()
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(format!("name: not 1 to {MAX_NAME_BYTES} bytes without control characters"));
    }
    if RESERVED_NAMES.contains(&name) {
        return Err(format!("name: '{name}' is reserved for the services themselves"));
    }
    Ok(())
}

/// The position of an error in the text, and its message where that is safe: for keys the parser
/// quotes the key alone, for values it may quote what may be a secret.
fn syntax(text: &str, error: &toml::de::Error) -> FileError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let message = error.message();
    let about_keys = ["unknown field", "missing field", "duplicate"];
    let what = if about_keys.iter().any(|text| message.starts_with(text)) {
        message.into()
    } else {
        "not a valid value of an access file".into()
    };
    FileError::Syntax { line, column, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy =
        Policy { roles: &["reader", "bot", "admin"], bound: Some("bot"), rule: |_| None };

    fn entry(rest: &str) -> String {
        format!("[[caller]]\n{rest}\n")
    }

    fn with_token(name: &str, token: &str) -> String {
        entry(&format!("name = '{name}'\nrole = 'reader'\nsha256 = '{}'", token_sha256(token)))
    }

    fn refusal(text: &str) -> String {
        Callers::parse(text, &POLICY).unwrap_err().to_string()
    }

    #[test]
    fn callers_are_found_by_their_token_or_their_certificate() {
        let bot = entry("name = 'b'\nrole = 'bot'\nbot_type = 'echo'\ncertificate = 'b.bots'");
        let text = with_token("a", "one") + &with_token("c", "two") + &bot;
        let callers = Callers::parse(&text, &POLICY).unwrap();
        assert_eq!(callers.len(), 3);
        assert_eq!(callers.find_by_token(b"one").unwrap().name(), "a");
        assert_eq!(callers.find_by_token(b"two").unwrap().name(), "c");
        assert!(callers.find_by_token(b"One").is_none() && callers.find_by_token(b"").is_none());
        let bot = callers.find_by_certificate("b.bots").unwrap();
        assert_eq!((bot.role(), bot.bot_type()), ("bot", Some("echo")));
        assert!(callers.find_by_certificate("b").is_none());
    }

    #[test]
    fn the_invalid_entry_and_key_are_named() {
        let hash = token_sha256("x");
        let of = |keys: &str| refusal(&entry(keys));
        for (message, wanted) in [
            (refusal(""), "no [[caller]]"),
            (of("name = 'a'\nrole = 'reader'"), "caller 1: one of sha256 and certificate"),
            (of(&format!("name = 'a'\nrole = 'root'\nsha256 = '{hash}'")), "reader, bot, admin"),
            (of(&format!("name = 'a'\nrole = 'bot'\nsha256 = '{hash}'")), "bot_type: required"),
            (of("name = 'a'\nrole = 'reader'\nbot_type = 'x'"), "bot_type: not with"),
            (of("name = 'start'\nrole = 'reader'"), "name: 'start'"),
            (of("name = ''\nrole = 'reader'"), "name: not 1 to 255 bytes"),
            (of("name = 'a'\nrole = 'reader'\nsha256 = 'abc'"), "sha256: not 64"),
            (refusal(&with_token("a", "test")), "sha256: a sample whose token is public"),
            (refusal(&with_token("a", "x").repeat(2)), "'a' is the name of another caller"),
            (refusal(&(with_token("a", "x") + &with_token("b", "x"))), "caller 2: sha256: another"),
            (refusal("[[caller]]\nname = 'a'\nroll = 'x'"), "line 3, column 1: unknown field"),
        ] {
            assert!(message.contains(wanted), "{message}");
        }
    }

    #[test]
    fn a_token_itself_is_refused_and_not_quoted() {
        for text in [
            "[[caller]]\nname = 'a'\nrole = 'reader'\ntoken = 'sgt_secret'",
            "[[caller]]\nname = 'a'\nrole = 'reader'\nsha256 = 'sgt_secret'",
            "[[caller]]\nname = 'a'\nrole = 'reader'\nsha256 = sgt_secret",
            "caller = 'sgt_secret'",
            "sgt_secret",
        ] {
            let message = refusal(text);
            assert!(!message.contains("sgt_secret"), "{message}");
        }
    }
}
