use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

#[cfg(doc)]
use crate::CATALOG_FILE;

/// One revision: a step up, and the step down that takes it back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revision {
    /// Its place in the line, such as `0002`; of one width, so that text order is their order.
    pub id: Cow<'static, str>,
    /// What it does, from the directory's name: `add last_message_at to chats`.
    pub description: Cow<'static, str>,
    /// The SQL of `up.sql`.
    pub up: Cow<'static, str>,
    /// The SQL of `down.sql`.
    pub down: Cow<'static, str>,
    /// One transaction with its bookkeeping; else it commits statement by statement.
    pub transactional: bool,
    /// A build made for an older revision than this cannot run once this one is applied.
    pub compatible_from: Option<Cow<'static, str>>,
    /// What the database consists of once it is applied, as [`CATALOG_FILE`] has it. Not hashed: it
    /// says what `up` does, and does nothing.
    pub catalog: Option<Cow<'static, str>>,
}

impl Revision {
    /// SHA-256 of up and down, in hex. Line ends count as LF, so that a checkout on another
    /// system has the same one; a NUL between the two keeps text from moving across.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.up.replace("\r\n", "\n"));
        hash.update([0]);
        hash.update(self.down.replace("\r\n", "\n"));
        hex::encode(hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(up: &'static str, down: &'static str) -> Revision {
        Revision {
            id: "0001".into(),
            description: "a".into(),
            up: up.into(),
            down: down.into(),
            transactional: true,
            compatible_from: None,
            catalog: None,
        }
    }

    #[test]
    fn a_checksum_ignores_line_ends_and_nothing_else() {
        let unix = revision("select 1;\n", "select 2;\n").checksum();
        assert_eq!(revision("select 1;\r\n", "select 2;\r\n").checksum(), unix);
        assert_ne!(revision("select  1;\n", "select 2;\n").checksum(), unix);
        assert_ne!(revision("select 1;\nselect 2;\n", "").checksum(), unix);
        assert_eq!(unix.len(), 64);
    }
}
