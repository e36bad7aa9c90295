//! What should not have been: counted by kind, with a few of each.

use std::{collections::BTreeMap, fmt};

/// Of each kind, this many are told.
const TOLD: usize = 5;

/// Everything that was found wrong.
#[derive(Debug, Default)]
pub struct Faults(BTreeMap<String, Vec<String>>);

impl Faults {
    /// Adds one of a kind.
    pub fn add(&mut self, kind: &str, which: impl fmt::Display) {
        self.0.entry(kind.into()).or_default().push(which.to_string());
    }

    /// Adds one unless what must hold does.
    pub fn unless(&mut self, holds: bool, kind: &str, which: impl fmt::Display) {
        if !holds {
            self.add(kind, which);
        }
    }

    /// Whether all is well.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "faults: none");
        }
        for (kind, which) in &self.0 {
            writeln!(f, "FAULT: {} times: {kind}", which.len())?;
            for which in which.iter().take(TOLD) {
                writeln!(f, "  {which}")?;
            }
        }
        Ok(())
    }
}
