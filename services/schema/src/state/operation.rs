//! An operation of the ledger, as the contract has it.

use api::schema::v1::{
    Operation,
    operation::{Kind, Outcome},
};
use wire::convert::timestamp;

use crate::store::{self, OperationKind};

/// Converts a row. An operation without an outcome, while the migration lock is free, has lost its
/// server.
pub fn operation(row: &store::Operation, forced_past: &[String], is_locked: bool) -> Operation {
    let outcome = match row.outcome {
        store::Outcome::Running if is_locked => Outcome::Running,
        store::Outcome::Running | store::Outcome::Interrupted => Outcome::Interrupted,
        store::Outcome::Succeeded => Outcome::Succeeded,
        store::Outcome::Failed => Outcome::Failed,
        store::Outcome::Unknown => Outcome::Unspecified,
    };
    Operation {
        id: row.id.clone(),
        kind: kind(row.kind).into(),
        outcome: outcome.into(),
        from_revision: row.from_revision.clone(),
        to_revision: row.to_revision.clone(),
        actor: row.actor.clone(),
        started_at: Some(timestamp(row.started_at.utc())),
        finished_at: row.finished_at.map(|time| timestamp(time.utc())),
        error: row.error.clone().unwrap_or_else(|| match outcome {
            Outcome::Interrupted => "server died".into(),
            _ => String::new(),
        }),
        forced_past: forced_past.to_vec(),
    }
}

const fn kind(kind: OperationKind) -> Kind {
    match kind {
        OperationKind::Upgrade => Kind::Upgrade,
        OperationKind::Downgrade => Kind::Downgrade,
        OperationKind::Stamp => Kind::Stamp,
        OperationKind::Repair => Kind::Repair,
        OperationKind::Unknown => Kind::Unspecified,
    }
}
