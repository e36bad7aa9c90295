//! The file of callers, read and checked in whole: what it holds is right, or none of it counts.
//!
//! ```toml
//! [[caller]]
//! name = "deploy"
//! role = "operator"
//! sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//!
//! [[caller]]
//! name = "echo-1"
//! role = "bot"
//! bot_type = "echo"
//! certificate = "echo-1.bots"
//! ```
//!
//! A token is 256 random bits: its SHA-256 says nothing of it, and no slow hash would add to that.
//! There is no key for a token in clear.

use std::collections::HashSet;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    caller::{Caller, RESERVED},
    policy::Policy,
};

/// What the ledger's column takes.
const NAME_LENGTH: usize = 255;

/// SHA-256 of a token.
pub(super) type Hash = [u8; 32];

/// Why a file of callers is of no use. It repeats nothing that may be a secret.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum FileError {
    /// It is no TOML, or has a key that is none of ours.
    #[error("line {line}, column {column}: {what}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// A caller is not what one must be.
    #[error("caller {number}: {what}")]
    Caller {
        /// Which one of them, from 1.
        number: usize,
        /// The key, and what is wrong with it.
        what: String,
    },
    /// It names nobody.
    #[error("it has no [[caller]]: nobody could call")]
    Nobody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    caller: Vec<Entry>,
}

/// A caller as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: String,
    sha256: Option<String>,
    certificate: Option<String>,
    bot_type: Option<String>,
}

/// Everybody who may call.
#[derive(Debug, Default)]
pub(super) struct Callers {
    tokens: Vec<(Hash, Caller)>,
    certificates: Vec<(String, Caller)>,
}

impl Callers {
    /// Reads a file's text.
    pub(super) fn parse(text: &str, policy: &Policy) -> Result<Self, FileError> {
        let file: File = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        if file.caller.is_empty() {
            return Err(FileError::Nobody);
        }
        let mut callers = Self::default();
        let mut names = HashSet::new();
        for (number, entry) in (1..).zip(file.caller) {
            let wrong = |what: String| FileError::Caller { number, what };
            if !names.insert(entry.name.clone()) {
                return Err(wrong(format!("name: '{}' is another caller's", entry.name)));
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
            (Some(hex), None) => {
                let hash = hash_of(&hex).ok_or("sha256: not 64 hexadecimal digits")?;
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
                    return Err("certificate: another caller has the same".into());
                }
                self.certificates.push((name, caller));
            }
            _ => return Err("one of sha256 and certificate is required".into()),
        }
        Ok(())
    }

    /// Whose token this is. Every entry is looked at, whichever it is.
    pub(super) fn by_token(&self, token: &[u8]) -> Option<&Caller> {
        let presented = digest(token);
        let mut found = None;
        for (hash, caller) in &self.tokens {
            if bool::from(hash.ct_eq(&presented)) {
                found = Some(caller);
            }
        }
        found
    }

    /// Whose certificate has this name.
    pub(super) fn by_certificate(&self, name: &str) -> Option<&Caller> {
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
    hex(&digest(token.as_bytes()))
}

fn digest(token: &[u8]) -> Hash {
    Sha256::digest(token).into()
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash_of(hex: &str) -> Option<Hash> {
    let digits: Vec<u8> =
        hex.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 64).then(|| bytes.try_into().ok())?
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_LENGTH || name.chars().any(char::is_control) {
        return Err(format!("name: not 1 to {NAME_LENGTH} bytes without control characters"));
    }
    if RESERVED.contains(&name) {
        return Err(format!("name: '{name}' is what the services call themselves"));
    }
    Ok(())
}

/// Where the text is wrong, and how. The parser's own words for keys and types quote keys alone;
/// those for values may quote what they found, so a value's are not repeated.
fn syntax(text: &str, error: &toml::de::Error) -> FileError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let said = error.message();
    let harmless = ["unknown field", "missing field", "duplicate"];
    let what = if harmless.iter().any(|words| said.starts_with(words)) {
        said.into()
    } else {
        "not what stands in a file of callers".into()
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
    fn callers_are_known_by_their_token_or_their_certificate() {
        let bot = entry("name = 'b'\nrole = 'bot'\nbot_type = 'echo'\ncertificate = 'b.bots'");
        let text = with_token("a", "one") + &with_token("c", "two") + &bot;
        let callers = Callers::parse(&text, &POLICY).unwrap();
        assert_eq!(callers.len(), 3);
        assert_eq!(callers.by_token(b"one").unwrap().name(), "a");
        assert_eq!(callers.by_token(b"two").unwrap().name(), "c");
        assert!(callers.by_token(b"One").is_none() && callers.by_token(b"").is_none());
        let bot = callers.by_certificate("b.bots").unwrap();
        assert_eq!((bot.role(), bot.bot_type()), ("bot", Some("echo")));
        assert!(callers.by_certificate("b").is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let hash = token_sha256("x");
        let of = |keys: &str| refusal(&entry(keys));
        for (said, wanted) in [
            (refusal(""), "no [[caller]]"),
            (of("name = 'a'\nrole = 'reader'"), "caller 1: one of sha256 and certificate"),
            (of(&format!("name = 'a'\nrole = 'root'\nsha256 = '{hash}'")), "reader, bot, admin"),
            (of(&format!("name = 'a'\nrole = 'bot'\nsha256 = '{hash}'")), "bot_type: required"),
            (of("name = 'a'\nrole = 'reader'\nbot_type = 'x'"), "bot_type: not with"),
            (of("name = 'start'\nrole = 'reader'"), "name: 'start'"),
            (of("name = ''\nrole = 'reader'"), "name: not 1 to 255 bytes"),
            (of("name = 'a'\nrole = 'reader'\nsha256 = 'abc'"), "sha256: not 64"),
            (refusal(&with_token("a", "x").repeat(2)), "'a' is another caller's"),
            (refusal(&(with_token("a", "x") + &with_token("b", "x"))), "caller 2: sha256: another"),
            (refusal("[[caller]]\nname = 'a'\nroll = 'x'"), "line 3, column 1: unknown field"),
        ] {
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn a_token_in_clear_is_refused_and_not_repeated() {
        for text in [
            "[[caller]]\nname = 'a'\nrole = 'reader'\ntoken = 'sgt_secret'",
            "[[caller]]\nname = 'a'\nrole = 'reader'\nsha256 = 'sgt_secret'",
            "[[caller]]\nname = 'a'\nrole = 'reader'\nsha256 = sgt_secret",
            "caller = 'sgt_secret'",
            "sgt_secret",
        ] {
            let said = refusal(text);
            assert!(!said.contains("sgt_secret"), "{said}");
        }
    }
}
