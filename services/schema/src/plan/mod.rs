//! Plans: what an Upgrade or a Downgrade would run, what it would cost, and what would be lost.
//!
//! The SQL is read first, without the database: `sql` parses it, `effects` and `touches` say what
//! each statement does, `names` and `copies` follow tables through a plan, and `reading` puts it
//! together. The database is asked then: `losses` counts what would go, `findings` has the words.
//! What an operation is refused for is counted in the same way, under its lock: [`permit`].

mod alter;
mod copies;
mod effects;
mod findings;
mod links;
mod lint;
mod live;
mod locks;
mod losses;
mod names;
mod ops;
mod reading;
mod sizes;
mod sql;
mod steps;
mod touches;
mod types;

use api::schema::v1::{PlanResponse, PlanStep};
use database::Connection;
use diesel::QueryResult;
use revisions::{Dialect, Revision, hex};
use sha2::{Digest as _, Sha256};

use crate::{
    engine::Direction, error::OperationError, history::History, observer::Observer,
    operations::Request, target::Target,
};

pub use losses::Loss;
pub use sql::Name;
pub use steps::{broken, steps, threats};

use reading::{At, Body, Reading};

/// What would run, and what would be lost by it, on the database as it is now.
struct Plan<'a> {
    direction: Direction,
    /// The revision before it.
    from: String,
    steps: &'a [Revision],
    /// The step that is half done, and how many of its statements are done.
    resumed: Option<(usize, usize)>,
    losses: Vec<At<Loss>>,
}

/// The Plan RPC's answer.
///
/// # Errors
/// Those that the operation itself would be refused with, data loss aside.
pub async fn describe(
    observer: &Observer,
    direction: Direction,
    target: &Target,
) -> Result<PlanResponse, OperationError> {
    let mut connection = observer.connection().await?;
    let history = History::read(&mut connection, observer.line()).await?;
    let steps = steps(observer, direction, target, &history, &mut connection).await?;
    let mut plan = Plan::new(direction, &history, &steps);
    let reading = plan.read(&mut connection).await?;
    plan.losses = losses::losses(&mut connection, &reading.gone).await?;
    let breaks = broken(&threats(direction, &history, plan.steps), &history);
    let digest = plan.digest(observer, &mut connection).await?;
    let findings = findings::findings(&plan, &reading, &mut connection).await?;
    let steps = plan.steps.iter().zip(findings).map(|(revision, findings)| PlanStep {
        revision: revision.id.to_string(),
        description: revision.description.to_string(),
        sql: direction.sql(revision).into(),
        transactional: revision.transactional,
        findings,
    });
    Ok(PlanResponse { steps: steps.collect(), breaks, digest })
}

/// Whether an operation may run these steps: they are what was reviewed, if that is asked for,
/// and lose nothing that the request does not allow to be lost.
///
/// # Errors
/// They may not run.
pub async fn permit(
    observer: &Observer,
    request: &Request,
    history: &History,
    steps: &[Revision],
    connection: &mut Connection,
) -> Result<(), OperationError> {
    let reviewed = !request.plan_digest.is_empty();
    if request.allow_data_loss && !reviewed {
        return Ok(());
    }
    let mut plan = Plan::new(request.direction, history, steps);
    if plan.may_lose() {
        let reading = plan.read(connection).await?;
        plan.losses = losses::losses(connection, &reading.gone).await?;
    }
    if reviewed && plan.digest(observer, connection).await? != request.plan_digest {
        return Err(OperationError::PlanChanged);
    }
    if plan.losses.is_empty() || request.allow_data_loss {
        return Ok(());
    }
    let revision = |at: &At<Loss>| plan.steps[at.step].id.to_string();
    let losses = plan.losses.iter().map(|at| (revision(at), at.what.clone()));
    Err(OperationError::DataLoss(losses.collect()))
}

impl<'a> Plan<'a> {
    fn new(direction: Direction, history: &History, steps: &'a [Revision]) -> Self {
        let resumed = history.half_done.as_ref().and_then(|at| {
            let step = steps.iter().position(|revision| revision.id == at.revision)?;
            Some((step, usize::try_from(at.done).ok()?))
        });
        Self { direction, from: history.current().into(), steps, resumed, losses: Vec::new() }
    }

    /// A quick look: most plans lose nothing, and need not be parsed before they run.
    fn may_lose(&self) -> bool {
        self.steps.iter().any(|revision| sql::may_lose(self.direction.sql(revision)))
    }

    async fn read(&self, connection: &mut Connection) -> QueryResult<Reading> {
        let dialect = match connection {
            Connection::Postgres(_) => Dialect::Postgres,
            Connection::Sqlite(_) => Dialect::Sqlite,
        };
        let schema = live::schema(connection).await?;
        let bodies = self.steps.iter().enumerate().map(|(index, revision)| Body {
            sql: self.direction.sql(revision),
            done: self.resumed.filter(|(step, _)| *step == index).map_or(0, |(_, done)| done),
        });
        Ok(reading::read(dialect, &schema, &bodies.collect::<Vec<_>>()))
    }

    /// Names the plan: it changes with the database, with where the schema is, with what would
    /// run, and with which tables and columns would lose values; not with how many.
    async fn digest(
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
                part(loss.what.rule);
                part(&loss.what.subject());
            }
        }
        if let Some((step, done)) = self.resumed {
            part(&format!("{step} {done}"));
        }
        Ok(hex(&hash.finalize()))
    }
}
