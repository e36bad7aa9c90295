use crate::Revision;

/// Whether a step applies a revision or reverts it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// Apply.
    Up,
    /// Revert.
    Down,
}

impl Direction {
    /// `up` or `down`, as the ledger stores it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// The SQL of a revision for this direction.
    pub fn sql(self, revision: &Revision) -> &str {
        match self {
            Self::Up => &revision.up,
            Self::Down => &revision.down,
        }
    }
}
