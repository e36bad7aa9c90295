//! Whether an operation may run its steps: no live dependent breaks unless it is forced, the steps are
//! what was reviewed, if a review is required, and they lose nothing that the request does not permit
//! to lose.

use database::Connection;
use revisions::Revision;

use super::{OperationError, Operations, Request};
use crate::{plan::Plan, store::History};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Permission {
    Granted,
    BreaksDependents,
    PlanChanged,
    DataLoss,
}

#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    breaks_dependents: bool,
    force: bool,
    /// None where no plan was reviewed.
    is_reviewed_plan: Option<bool>,
    has_losses: bool,
    allow_data_loss: bool,
}

const fn decide(facts: Facts) -> Permission {
    match facts {
        Facts { breaks_dependents: true, force: false, .. } => Permission::BreaksDependents,
        Facts { is_reviewed_plan: Some(false), .. } => Permission::PlanChanged,
        Facts { has_losses: true, allow_data_loss: false, .. } => Permission::DataLoss,
        Facts { .. } => Permission::Granted,
    }
}

/// Gathers the facts under the migration lock and decides. `broken` names the live dependents that
/// could not run on the result.
///
/// # Errors
/// The steps may not run, or the database cannot be read.
pub(super) async fn check_permission(
    operations: &Operations,
    request: &Request,
    history: &History,
    steps: &[Revision],
    broken: &[String],
    connection: &mut Connection,
) -> Result<(), OperationError> {
    let mut facts = Facts {
        breaks_dependents: !broken.is_empty(),
        force: request.force,
        allow_data_loss: request.allow_data_loss,
        ..Facts::default()
    };
    if decide(facts) == Permission::BreaksDependents {
        return Err(OperationError::Dependents(broken.join(", ")));
    }
    let has_review = !request.plan_digest.is_empty();
    if request.allow_data_loss && !has_review {
        // Nothing is left to decide, so nothing is counted.
        return Ok(());
    }
    let mut plan = Plan::new(request.direction, history, steps);
    plan.count_losses(connection).await?;
    if has_review {
        let digest = plan.digest(&operations.observer, connection).await?;
        facts.is_reviewed_plan = Some(digest == request.plan_digest);
    }
    let losses = plan.losses();
    facts.has_losses = !losses.is_empty();
    match decide(facts) {
        Permission::Granted => Ok(()),
        Permission::BreaksDependents => Err(OperationError::Dependents(broken.join(", "))),
        Permission::PlanChanged => Err(OperationError::PlanChanged),
        Permission::DataLoss => Err(OperationError::DataLoss(losses)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaking_a_dependent_a_changed_plan_and_a_loss_are_refused_unless_permitted() {
        use Permission::{BreaksDependents, DataLoss, Granted, PlanChanged};
        let breaking = Facts { breaks_dependents: true, ..Facts::default() };
        let forced = Facts { force: true, ..breaking };
        let losing = Facts { has_losses: true, ..Facts::default() };
        let permitted = Facts { allow_data_loss: true, ..losing };
        let reviewed = |facts, is_same| Facts { is_reviewed_plan: Some(is_same), ..facts };
        for (facts, expected) in [
            (Facts::default(), Granted),
            (breaking, BreaksDependents),
            (reviewed(breaking, false), BreaksDependents),
            (forced, Granted),
            (Facts { has_losses: true, ..forced }, DataLoss),
            (losing, DataLoss),
            (permitted, Granted),
            (reviewed(Facts::default(), true), Granted),
            (reviewed(losing, true), DataLoss),
            (reviewed(permitted, true), Granted),
            (reviewed(Facts::default(), false), PlanChanged),
            (reviewed(permitted, false), PlanChanged),
        ] {
            assert_eq!(decide(facts), expected, "{facts:?}");
        }
    }
}
