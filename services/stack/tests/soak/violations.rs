//! Violations of what the services promise, by kind.

use std::{collections::BTreeMap, fmt};

/// How many of each kind are printed.
const MAX_PRINTED: usize = 5;

#[derive(Debug, Default)]
pub struct Violations(BTreeMap<String, Vec<String>>);

impl Violations {
    pub fn add(&mut self, kind: &str, which: impl fmt::Display) {
        self.0.entry(kind.into()).or_default().push(which.to_string());
    }

    /// Adds a violation unless the condition holds.
    pub fn unless(&mut self, holds: bool, kind: &str, which: impl fmt::Display) {
        if !holds {
            self.add(kind, which);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "violations: none");
        }
        for (kind, which) in &self.0 {
            writeln!(f, "VIOLATION: {} times: {kind}", which.len())?;
            for which in which.iter().take(MAX_PRINTED) {
                writeln!(f, "  {which}")?;
            }
        }
        Ok(())
    }
}
