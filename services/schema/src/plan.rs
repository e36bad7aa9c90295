//! Plans: what an Upgrade or a Downgrade would run, what it would cost, and what would be lost.
//!
//! The `analysis` crate reads the SQL, without the database. The database says then what of it exists
//! and how large it is: `count_losses` counts what would be lost, `findings` puts all together.
//! Operations count what they would lose in the same way, under the migration lock.

mod column_types;
mod count_losses;
mod error;
mod findings;
#[cfg(test)]
mod lock_tests;
mod relations;
mod steps;
mod table_size;
mod tables;

use analysis::{Analysis, Body, Finding, Located, Loss, Severity, analyze, may_remove_data};
use api::schema::v1::{self as wire, PlanResponse, PlanStep};
use database::Connection;
use diesel::QueryResult;
use revisions::{Direction, Revision, Target};
use sha2::{Digest as _, Sha256};
use sql::Dialect;

use crate::{observer::Observer, store::History};

pub use error::PlanError;
use steps::broken;
pub use steps::{breaking_changes, broken_names, steps};

/// What would run, and what it would lose, on the database as it is now.
pub struct Plan<'a> {
    direction: Direction,
    /// The current revision before it.
    from: String,
    steps: &'a [Revision],
    /// The half-done step, and how many of its statements are committed.
    resumed: Option<(usize, usize)>,
    losses: Vec<Located<Loss>>,
}

/// The Plan RPC's answer.
///
/// # Errors
/// Those that the operation itself would be refused with, data loss aside.
pub async fn describe(
    observer: &Observer,
    direction: Direction,
    target: &Target,
) -> Result<PlanResponse, PlanError> {
    let mut connection = observer.connection().await?;
    let history = History::read(&mut connection, observer.revisions()).await?;
    let steps = steps(observer, direction, target, &history, &mut connection).await?;
    let mut plan = Plan::new(direction, &history, &steps);
    let analysis = plan.analyze(&mut connection).await?;
    plan.losses = count_losses::count_losses(&mut connection, &analysis.possible_losses).await?;
    let breaks = broken(&breaking_changes(direction, &history, plan.steps), &history);
    let digest = plan.digest(observer, &mut connection).await?;
    let findings = findings::findings(&plan, &analysis, &mut connection).await?;
    let steps = plan.steps.iter().zip(findings).map(|(revision, findings)| PlanStep {
        revision: revision.id.to_string(),
        description: revision.description.to_string(),
        sql: direction.sql(revision).into(),
        transactional: revision.transactional,
        findings: findings.into_iter().map(to_wire).collect(),
    });
    Ok(PlanResponse { steps: steps.collect(), breaks, digest })
}

impl<'a> Plan<'a> {
    /// A plan whose losses are not counted yet.
    pub fn new(direction: Direction, history: &History, steps: &'a [Revision]) -> Self {
        let resumed = history.half_done.as_ref().and_then(|at| {
            let step = steps.iter().position(|revision| revision.id == at.revision)?;
            Some((step, usize::try_from(at.done).ok()?))
        });
        Self { direction, from: history.current().into(), steps, resumed, losses: Vec::new() }
    }

    /// Counts what the steps would lose.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn count_losses(&mut self, connection: &mut Connection) -> QueryResult<()> {
        if self.may_lose() {
            let analysis = self.analyze(connection).await?;
            self.losses = count_losses::count_losses(connection, &analysis.possible_losses).await?;
        }
        Ok(())
    }

    /// The losses that were counted, each with its revision.
    pub fn losses(&self) -> Vec<(String, Loss)> {
        let revision = |at: &Located<Loss>| self.steps[at.step].id.to_string();
        self.losses.iter().map(|at| (revision(at), at.value.clone())).collect()
    }

    /// A quick check: most plans lose nothing, and need not be parsed before they run.
    fn may_lose(&self) -> bool {
        self.steps.iter().any(|revision| may_remove_data(self.direction.sql(revision)))
    }

    async fn analyze(&self, connection: &mut Connection) -> QueryResult<Analysis> {
        let dialect = match connection {
            Connection::Postgres(_) => Dialect::Postgres,
            Connection::Sqlite(_) => Dialect::Sqlite,
        };
        let schema = tables::current_schema(connection).await?;
        let bodies = self.steps.iter().enumerate().map(|(index, revision)| Body {
            sql: self.direction.sql(revision),
            completed: self.resumed.filter(|(step, _)| *step == index).map_or(0, |(_, done)| done),
        });
        Ok(analyze(dialect, &schema, &bodies.collect::<Vec<_>>()))
    }

    /// The identity of the plan: it changes with the database, with the current revision, with what
    /// would run, and with which tables and columns would lose values; not with how many.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn digest(
        &self,
        observer: &Observer,
        connection: &mut Connection,
    ) -> QueryResult<String> {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            // With its length before it, no text can pass for two.
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        };
        part("schemagate plan 1");
        part(&observer.identity(connection).await?);
        part(self.direction.as_str());
        part(&self.from);
        for (index, revision) in self.steps.iter().enumerate() {
            part(&revision.id);
            part(&revision.checksum());
            part(if revision.transactional { "one transaction" } else { "statements" });
            for loss in self.losses.iter().filter(|loss| loss.step == index) {
                part(loss.value.rule.as_str());
                part(&loss.value.subject());
            }
        }
        if let Some((step, done)) = self.resumed {
            part(&format!("{step} {done}"));
        }
        Ok(hex::encode(hash.finalize()))
    }
}

fn to_wire(finding: Finding) -> wire::Finding {
    let severity = match finding.severity {
        Severity::Note => wire::finding::Severity::Note,
        Severity::Warning => wire::finding::Severity::Warning,
        Severity::DataLoss => wire::finding::Severity::DataLoss,
    };
    wire::Finding {
        severity: severity.into(),
        rule: finding.rule.to_string(),
        message: finding.message,
        rows: finding.rows,
        line: finding.line.and_then(|line| u32::try_from(line).ok()),
    }
}
