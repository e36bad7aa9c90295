//! Whether an operation may run its steps: they are what was reviewed, if a review is required, and
//! they lose nothing that the request does not permit to lose.

use database::Connection;
use revisions::Revision;

use super::{OperationError, Operations, Request};
use crate::{plan::Plan, store::History};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Permission {
    Granted,
    PlanChanged,
    DataLoss,
}

/// Decides by the facts. `is_reviewed_plan` is none where no plan was reviewed.
const fn decide(
    is_reviewed_plan: Option<bool>,
    has_losses: bool,
    allow_data_loss: bool,
) -> Permission {
    match (is_reviewed_plan, has_losses, allow_data_loss) {
        (Some(false), _, _) => Permission::PlanChanged,
        (_, true, false) => Permission::DataLoss,
        (_, _, _) => Permission::Granted,
    }
}

/// Gathers the facts under the migration lock and decides.
///
/// # Errors
/// The steps may not run, or the database cannot be read.
pub(super) async fn check_permission(
    operations: &Operations,
    request: &Request,
    history: &History,
    steps: &[Revision],
    connection: &mut Connection,
) -> Result<(), OperationError> {
    let has_review = !request.plan_digest.is_empty();
    if request.allow_data_loss && !has_review {
        // Nothing is left to decide, so nothing is counted.
        return Ok(());
    }
    let mut plan = Plan::new(request.direction, history, steps);
    plan.count_losses(connection).await?;
    let is_reviewed_plan = if has_review {
        Some(plan.digest(&operations.observer, connection).await? == request.plan_digest)
    } else {
        None
    };
    let losses = plan.losses();
    match decide(is_reviewed_plan, !losses.is_empty(), request.allow_data_loss) {
        Permission::Granted => Ok(()),
        Permission::PlanChanged => Err(OperationError::PlanChanged),
        Permission::DataLoss => Err(OperationError::DataLoss(losses)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_plan_and_a_loss_that_is_not_permitted_are_refused() {
        use Permission::{DataLoss, Granted, PlanChanged};
        for (is_reviewed_plan, has_losses, allow_data_loss, expected) in [
            (None, false, false, Granted),
            (None, true, false, DataLoss),
            (None, true, true, Granted),
            (Some(true), false, false, Granted),
            (Some(true), true, false, DataLoss),
            (Some(true), true, true, Granted),
            (Some(false), false, false, PlanChanged),
            (Some(false), true, true, PlanChanged),
        ] {
            assert_eq!(decide(is_reviewed_plan, has_losses, allow_data_loss), expected);
        }
    }
}
