//! The state of the schema: what is held against what is applied, in the contract's words.

use api::schema::v1::{Backend, Operation, SchemaState, Status, operation};
use database::types::Time;
use wire::convert::timestamp;

use crate::{history::History, inspector::Finding, ledger, line::Line};

/// What is seen of a database at one moment.
pub struct Look<'a> {
    /// The revisions that this service holds.
    pub line: &'a Line,
    /// What the database says of its past.
    pub history: &'a History,
    /// Whether an operation is in flight.
    pub running: bool,
    /// What the last look at the live catalog found.
    pub finding: &'a Finding,
    /// Which kind of database.
    pub backend: Backend,
    /// Its name.
    pub database_id: &'a str,
    /// Why the upgrade at this server's start failed, if it did.
    pub start_failure: Option<&'a str>,
}

impl Look<'_> {
    /// What Current answers.
    pub fn state(&self) -> SchemaState {
        let Self { line, history, .. } = self;
        let pending: Vec<String> = line
            .iter()
            .filter(|revision| !history.applied.contains(revision.id.as_ref()))
            .map(|revision| revision.id.to_string())
            .collect();
        let current = history.current();
        let out_of_order =
            pending.iter().filter(|revision| revision.as_str() < current).cloned().collect();
        let unknown = history.applied.iter().filter(|id| line.get(id).is_none()).cloned().collect();
        let mut state = SchemaState {
            revision: current.into(),
            head: line.head().into(),
            pending,
            unknown,
            out_of_order,
            altered: self.altered(),
            database_id: self.database_id.into(),
            backend: self.backend.into(),
            epoch: history.epoch,
            observed_at: Some(timestamp(Time::now().utc())),
            compatible_from: self.compatible_from(),
            dependents: history.dependents.clone(),
            drift: self.finding.drift.clone(),
            ..SchemaState::default()
        };
        if let Some(last) = &history.last_operation {
            let last = operation(last, &history.forced_past, self.running);
            match last.outcome() {
                operation::Outcome::Running => state.running = Some(last),
                operation::Outcome::Failed | operation::Outcome::Interrupted => {
                    state.last_failure = Some(last);
                }
                operation::Outcome::Succeeded | operation::Outcome::Unspecified => {}
            }
        }
        let status = self.status(&state);
        state.set_status(status);
        state.at_head = status == Status::AtHead;
        state.message = self.message(&state);
        state
    }

    /// Applied with another text than this service holds. A revision that the ledger has not, as
    /// the Diesel CLI leaves them, is taken at its word.
    fn altered(&self) -> Vec<String> {
        let differs = |id: &&String| {
            let ran = self.history.applied_by(id);
            let held = self.line.get(id);
            ran.zip(held).is_some_and(|(ran, held)| ran.checksum != held.checksum())
        };
        self.history.applied.iter().filter(differs).cloned().collect()
    }

    fn compatible_from(&self) -> String {
        let of = |id: &String| {
            let held = self.line.get(id).and_then(|revision| revision.compatible_from.as_deref());
            held.or(self.history.applied_by(id).and_then(|ran| ran.compatible_from.as_deref()))
        };
        self.history.applied.iter().filter_map(of).max().unwrap_or_default().to_owned()
    }

    fn message(&self, state: &SchemaState) -> String {
        let mut parts = vec![self.explanation(state)];
        if !state.at_head {
            let failure = state.last_failure.as_ref();
            // A start that got as far as to run is in the ledger.
            let unrecorded = |start: &&str| {
                failure.is_none_or(|last| last.error.is_empty() || !start.contains(&last.error))
                    && self.finding.unmanaged.is_none()
            };
            if let Some(start) = self.start_failure.filter(unrecorded) {
                parts.push(format!("The upgrade on start did not run: {start}"));
            }
            if let Some(failure) = failure {
                parts.push(format!(
                    "The last operation ({} to {}) {}: {}",
                    kind_words(failure.kind()),
                    name(&failure.to_revision),
                    match failure.outcome() {
                        operation::Outcome::Failed => "failed",
                        _ => "was interrupted",
                    },
                    failure.error,
                ));
            }
        }
        parts.retain(|part| !part.is_empty());
        parts.join(". ")
    }

    /// The first that holds, in the contract's order.
    fn status(&self, state: &SchemaState) -> Status {
        let lacking = state.drift.as_ref().is_some_and(|drift| !drift.missing.is_empty());
        if !state.altered.is_empty() {
            Status::Diverged
        } else if !state.unknown.is_empty() {
            Status::Ahead
        } else if state.running.is_some() {
            Status::Migrating
        } else if self.history.half_done.is_some() {
            Status::Failed
        } else if self.finding.unmanaged.is_some() {
            Status::Unmanaged
        } else if state.revision.is_empty() && !state.pending.is_empty() {
            Status::Empty
        } else if !state.pending.is_empty() {
            Status::Behind
        } else if lacking {
            Status::Drifted
        } else {
            Status::AtHead
        }
    }

    fn explanation(&self, state: &SchemaState) -> String {
        let list = |revisions: &[String]| revisions.join(", ");
        match state.status() {
            Status::AtHead | Status::Unspecified => String::new(),
            Status::Diverged => format!(
                "applied with another text than this service holds: {}; deploy the build that applied \
                 it, or Repair it",
                list(&state.altered)
            ),
            Status::Ahead => format!(
                "the database is newer than this service, which does not hold {}; deploy a newer one, \
                 or Downgrade to {}",
                list(&state.unknown),
                name(&state.head)
            ),
            Status::Migrating => match &state.running {
                Some(running) => describe(running),
                None => String::new(),
            },
            Status::Failed => self.history.half_done.as_ref().map(half_done).unwrap_or_default(),
            Status::Unmanaged => self.finding.unmanaged.clone().unwrap_or_default(),
            Status::Drifted => drifted(state),
            _ if !state.out_of_order.is_empty() => format!(
                "{} came out of order: {} is applied already; give it a newer number, or Downgrade \
                 below it first",
                list(&state.out_of_order),
                state.revision
            ),
            _ => format!(
                "the schema is at {} and has {} to go: Upgrade applies {}",
                name(&state.revision),
                state.pending.len(),
                list(&state.pending)
            ),
        }
    }
}

fn drifted(state: &SchemaState) -> String {
    let missing = state.drift.as_ref().map(|drift| drift.missing.join("; ")).unwrap_or_default();
    format!(
        "every revision is applied, and the database lacks what they promise: {missing}. Bring it \
         back by hand, then Verify; or Stamp the revision that the database still fits"
    )
}

/// What to do with a step that is half done.
pub fn half_done(at: &ledger::Position) -> String {
    let (which, again) = match at.direction.as_str() {
        "down" => ("reverted", "Downgrade"),
        _ => ("applied", "Upgrade"),
    };
    format!(
        "revision {} is half {which}: {} of {} statements are committed; mend what stopped it, then \
         {again} goes on behind them",
        at.revision, at.done, at.total
    )
}

/// `upgrade from 0001 to 0003 by anonymous, since 2026-01-01T00:00:00Z`.
pub fn describe(operation: &Operation) -> String {
    let since = operation.started_at.and_then(wire::convert::time);
    format!(
        "{} from {} to {} by {}, since {}",
        kind_words(operation.kind()),
        name(&operation.from_revision),
        name(&operation.to_revision),
        operation.actor,
        since.map(|time| time.to_rfc3339()).unwrap_or_default()
    )
}

/// A revision for people.
pub fn name(revision: &str) -> &str {
    if revision.is_empty() { "base" } else { revision }
}

pub const fn kind_words(kind: operation::Kind) -> &'static str {
    match kind {
        operation::Kind::Upgrade => "upgrade",
        operation::Kind::Downgrade => "downgrade",
        operation::Kind::Stamp => "stamp",
        operation::Kind::Repair => "repair",
        operation::Kind::Unspecified => "operation",
    }
}

/// An operation of the ledger, and whom it went on past, as the contract has it. One that reads as running while nobody
/// holds the lock has lost its server.
pub fn operation(row: &ledger::Operation, forced_past: &[String], lock_is_held: bool) -> Operation {
    use operation::{Kind, Outcome};
    let kind = match row.kind.as_str() {
        "upgrade" => Kind::Upgrade,
        "downgrade" => Kind::Downgrade,
        "stamp" => Kind::Stamp,
        "repair" => Kind::Repair,
        _ => Kind::Unspecified,
    };
    let outcome = match row.outcome.as_str() {
        "running" if lock_is_held => Outcome::Running,
        "running" | "interrupted" => Outcome::Interrupted,
        "succeeded" => Outcome::Succeeded,
        "failed" => Outcome::Failed,
        _ => Outcome::Unspecified,
    };
    Operation {
        id: row.id.clone(),
        kind: kind.into(),
        outcome: outcome.into(),
        from_revision: row.from_revision.clone(),
        to_revision: row.to_revision.clone(),
        actor: row.actor.clone(),
        started_at: Some(timestamp(row.started_at.utc())),
        finished_at: row.finished_at.map(|time| timestamp(time.utc())),
        error: row.error.clone().unwrap_or_else(|| match outcome {
            Outcome::Interrupted => "its server died".into(),
            _ => String::new(),
        }),
        forced_past: forced_past.to_vec(),
    }
}
