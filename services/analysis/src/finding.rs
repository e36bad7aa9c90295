//! A remark of a plan on one of its steps.

use std::fmt;

use crate::{LockMode, LossRule};

/// A remark on a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The line of the step's SQL, from 1; none where it is about the whole step.
    pub line: Option<usize>,
    /// How much it matters.
    pub severity: Severity,
    /// Which rule found it.
    pub rule: Rule,
    /// The remark, for people.
    pub message: String,
    /// The rows that it is about, where they were counted.
    pub rows: Option<u64>,
}

/// How much a finding matters, least first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Good to know.
    Note,
    /// May block or break something.
    Warning,
    /// Rows or values are removed.
    DataLoss,
}

/// The rule behind a finding. The names are part of the contract.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rule {
    /// DELETE removes rows of other tables too.
    DeleteCascades,
    /// A lock on a table.
    Lock(LockMode),
    /// Rows or values are removed.
    Loss(LossRule),
    /// Values may not fit a column's new type.
    NarrowingType,
    /// squawk could not read the step.
    NotLinted,
    /// A rebuild does not create an index or a trigger again.
    RebuildDropsIndex,
    /// Statements of the step are committed already.
    Resumed,
    /// A rule of squawk's.
    Squawk(String),
    /// A table is copied into one that takes its place.
    TableRebuild,
    /// Every row of a table is written again.
    TableRewrite,
    /// Every row of a table is read.
    TableScan,
    /// A statement nests too deep to be analysed.
    TooDeep,
    /// A statement may remove data and could not be parsed.
    Unparsed,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeleteCascades => "delete-cascades",
            Self::Lock(mode) => {
                return write!(f, "{}-lock", mode.name().to_lowercase().replace(' ', "-"));
            }
            Self::Loss(rule) => rule.as_str(),
            Self::NarrowingType => "narrowing-type",
            Self::NotLinted => "not-linted",
            Self::RebuildDropsIndex => "rebuild-drops-index",
            Self::Resumed => "resumed",
            Self::Squawk(name) => name,
            Self::TableRebuild => "table-rebuild",
            Self::TableRewrite => "table-rewrite",
            Self::TableScan => "table-scan",
            Self::TooDeep => "too-deep",
            Self::Unparsed => "unread",
        })
    }
}

impl Finding {
    /// About a statement that was not analysed.
    pub fn too_deep(line: usize) -> Self {
        let message = "too deep to analyse: what the statement locks, rewrites and removes is \
                       not known; use fewer nested parentheses and shorter chains of operators";
        Self {
            line: Some(line),
            severity: Severity::Warning,
            rule: Rule::TooDeep,
            message: message.into(),
            rows: None,
        }
    }
}
