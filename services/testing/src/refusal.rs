//! The details of an error: reason, metadata, fields.

use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;

/// The reason in an error's `ErrorInfo`, such as `SCHEMA_NOT_AT_HEAD`.
///
/// # Panics
/// The error has no `ErrorInfo`.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}")).reason
}

/// A value in the metadata of an error's `ErrorInfo`.
///
/// # Panics
/// The metadata has no such key.
pub fn info(status: &Status, key: &str) -> String {
    status
        .get_details_error_info()
        .and_then(|mut info| info.metadata.remove(key))
        .unwrap_or_else(|| panic!("no '{key}' in the ErrorInfo of {status:?}"))
}

/// The fields that an error's `BadRequest` names; empty without a `BadRequest`.
pub fn bad_fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}

/// The delay in an error's `RetryInfo`.
pub fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}
