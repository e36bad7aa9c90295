//! The fields of requests, validated and converted.

use std::time::Duration;

use access::require;
use api::{Reason, schema::v1::Dependent};
use revisions::{RevisionSet, Target, TargetError};
use tonic::Extensions;
use wire::{Problem, convert};

use super::problem::target_problem;
use crate::access::ADMIN;

/// Requires the role of an administrator for the flags that may break a service or lose data.
pub(super) fn require_admin_for_force(
    extensions: &Extensions,
    force: bool,
    allow_data_loss: bool,
) -> Result<(), Problem> {
    for (is_set, field) in [(force, "force"), (allow_data_loss, "allow_data_loss")] {
        if is_set {
            require(extensions, ADMIN, field)?;
        }
    }
    Ok(())
}

pub(super) fn upgrade_target(text: &str) -> Result<Target, Problem> {
    text.parse().map_err(|error: TargetError| target_problem("target", error))
}

/// A Downgrade has no default target: one without a target is an accident.
pub(super) fn downgrade_target(text: &str) -> Result<Target, Problem> {
    if text.is_empty() {
        return Err(Problem::invalid(
            "target",
            Reason::TargetRequired,
            "required: a revision, -N or base",
        ));
    }
    upgrade_target(text)
}

/// The revision that a Stamp records; empty for base.
pub(super) fn stamp_revision(text: &str, held: &RevisionSet) -> Result<String, Problem> {
    if text.is_empty() {
        let what = "required: the revision that the database is at, or base";
        return Err(Problem::invalid("revision", Reason::RevisionRequired, what));
    }
    let revision = text.parse().and_then(|target| held.stamp(&target));
    revision.map_err(|error: TargetError| target_problem("revision", error))
}

pub(super) fn repair_revision(text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        let what = "required: the altered revision";
        return Err(Problem::invalid("revision", Reason::RevisionRequired, what));
    }
    Ok(())
}

/// A duration of the request, or the default. Zero is a value: it does not wait.
pub(super) fn duration(
    field: &str,
    given: Option<prost_types::Duration>,
    default: Duration,
) -> Result<Duration, Problem> {
    /// A longer one is a mistake, and would not fit what the databases take.
    const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    match given.map(convert::duration) {
        None => Ok(default),
        Some(Some(duration)) if duration <= MAX_DURATION => Ok(duration),
        Some(_) => {
            let what = "not a duration between 0 and a year, such as \"10s\"";
            Err(Problem::invalid(field, Reason::DurationInvalid, what))
        }
    }
}

/// The columns of a lease hold what passes here.
pub(super) fn dependent(dependent: &Dependent) -> Result<(), Problem> {
    let fields = [
        ("dependent.service", &dependent.service, true),
        ("dependent.instance", &dependent.instance, true),
        ("dependent.version", &dependent.version, false),
        ("dependent.requires", &dependent.requires, false),
        ("dependent.built_with", &dependent.built_with, false),
    ];
    for (field, value, is_required) in fields {
        if (is_required && value.is_empty()) || value.contains('\0') || value.len() > 255 {
            let what = "not a name of at most 255 bytes without NUL";
            return Err(Problem::invalid(field, Reason::DependentInvalid, what));
        }
    }
    for (field, value, _) in &fields[3..] {
        if value.len() > 50 || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            let what = "not a revision, such as 0002";
            return Err(Problem::invalid(field, Reason::DependentInvalid, what));
        }
    }
    Ok(())
}
