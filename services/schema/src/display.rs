//! How revisions and operations are named in messages and on the terminal.

use api::schema::v1::{Operation, operation::Kind};

/// A revision, or `base` where there is none.
pub fn revision_name(revision: &str) -> &str {
    if revision.is_empty() { "base" } else { revision }
}

/// `upgrade`, `downgrade`, `stamp` or `repair`.
pub const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Upgrade => "upgrade",
        Kind::Downgrade => "downgrade",
        Kind::Stamp => "stamp",
        Kind::Repair => "repair",
        Kind::Unspecified => "operation",
    }
}

/// `upgrade from 0001 to 0003 by anonymous, since 2026-01-01T00:00:00Z`.
pub fn running_operation(operation: &Operation) -> String {
    let since = operation.started_at.and_then(wire::convert::time);
    format!(
        "{} from {} to {} by {}, since {}",
        kind_name(operation.kind()),
        revision_name(&operation.from_revision),
        revision_name(&operation.to_revision),
        operation.actor,
        since.map(wire::format_time).unwrap_or_default()
    )
}
