/// A lock on a table, weakest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LockMode {
    /// Taken by SELECT.
    AccessShare,
    /// Taken by SELECT FOR UPDATE.
    RowShare,
    /// Taken by INSERT, UPDATE and DELETE.
    RowExclusive,
    /// Taken by schema changes that let reads and writes go on.
    ShareUpdateExclusive,
    /// Blocks writes.
    Share,
    /// Blocks writes, and itself.
    ShareRowExclusive,
    /// Blocks everything but reads.
    Exclusive,
    /// Blocks everything.
    AccessExclusive,
}

use LockMode::{
    AccessExclusive, AccessShare, Exclusive, RowExclusive, RowShare, Share, ShareRowExclusive,
    ShareUpdateExclusive,
};

impl LockMode {
    /// The name in PostgreSQL's documentation.
    pub const fn name(self) -> &'static str {
        match self {
            AccessShare => "ACCESS SHARE",
            RowShare => "ROW SHARE",
            RowExclusive => "ROW EXCLUSIVE",
            ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Share => "SHARE",
            ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Exclusive => "EXCLUSIVE",
            AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// Which work waits for it, for people.
    pub const fn effect_on_others(self) -> &'static str {
        match self {
            AccessShare | RowShare | RowExclusive | ShareUpdateExclusive => {
                "reads and writes go on, other changes of the schema wait"
            }
            Share | ShareRowExclusive | Exclusive => "reads go on, writes wait",
            AccessExclusive => "reads and writes wait",
        }
    }

    /// Whether writes wait for it.
    pub fn blocks_writes(self) -> bool {
        self >= Share
    }
}
