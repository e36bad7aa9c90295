//! What a program reads in an error: its reason, its metadata, the fields at fault.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;

/// The reason of its `ErrorInfo`, such as `SCHEMA_NOT_AT_HEAD`.
///
/// # Panics
/// It carries none: every error of ours does.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}")).reason
}

/// One value of its `ErrorInfo`'s metadata.
///
/// # Panics
/// It carries no such key.
pub fn info(status: &Status, key: &str) -> String {
    status
        .get_details_error_info()
        .and_then(|mut info| info.metadata.remove(key))
        .unwrap_or_else(|| panic!("no '{key}' in the ErrorInfo of {status:?}"))
}

/// The paths of the fields that its `BadRequest` names; none where it carries no `BadRequest`.
pub fn bad_fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}

/// When its `RetryInfo` says to try again, if it carries one.
pub fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}
