//! Errors on the wire: a gRPC code, a stable reason for programs, a message for people.
//!
//! Every error carries `google.rpc.ErrorInfo`; clients branch on its reason, never on text.

use std::{collections::HashMap, error::Error as _, time::Duration};

use api::{ERROR_DOMAIN, Reason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::error_chain;

/// The longest message in bytes. An error travels in headers, of which clients take some 16 KiB,
/// and its message may quote what a caller sent.
const MAX_MESSAGE: usize = 2_000;
/// The longest metadata value in bytes, for the same reason.
const MAX_VALUE: usize = 500;

/// An error as a client receives it. It holds no internals.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    reason: Reason,
    message: String,
    metadata: HashMap<String, String>,
    details: Box<ErrorDetails>,
}

impl Problem {
    /// A problem with the reason that programs branch on.
    pub fn new(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        let message = truncate(message.into(), MAX_MESSAGE);
        Self { code, reason, message, metadata: HashMap::new(), details: Box::default() }
    }

    /// INVALID_ARGUMENT at one field, named by its path in the request.
    pub fn invalid(field: &str, reason: Reason, what: impl Into<String>) -> Self {
        let field = truncate(field.to_owned(), MAX_VALUE);
        let what = truncate(what.into(), MAX_MESSAGE - MAX_VALUE);
        let mut problem = Self::new(Code::InvalidArgument, reason, format!("{field}: {what}"))
            .with("field", &field);
        problem.details.add_bad_request_violation(field, what);
        problem
    }

    /// INTERNAL with a fixed text. Log the cause once, where this is made.
    pub fn internal() -> Self {
        Self::new(
            Code::Internal,
            Reason::Internal,
            "internal error; the server's log has the cause",
        )
    }

    /// Adds a pair to the `ErrorInfo`'s metadata.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), truncate(value.into(), MAX_VALUE));
        self
    }

    /// Adds `RetryInfo`: how long to wait before trying again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }

    /// Adds a `PreconditionFailure`: which part of the state forbids the call.
    #[must_use]
    pub fn precondition(mut self, kind: &str, subject: &str, description: &str) -> Self {
        self.details.add_precondition_failure_violation(kind, subject, description);
        self
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The reason, for programs.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// A value of the `ErrorInfo`'s metadata, such as the `field` of an invalid one.
    pub fn info(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let Problem { code, reason, message, metadata, mut details } = problem;
        details.set_error_info(reason.as_str(), ERROR_DOMAIN, metadata);
        Self::with_error_details(code, message, *details)
    }
}

fn truncate(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// The message of a refusal, or the causes of a failure on the way to the server: a status that came
/// from a server has no source.
pub fn status_message(status: &Status) -> String {
    match status.source() {
        Some(cause) => error_chain(cause),
        None if status.message().is_empty() => status.code().to_string(),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_arrives_with_reason_domain_metadata_and_details() {
        let problem = Problem::invalid("page_size", Reason::PageSizeInvalid, "negative")
            .with("given", "-1")
            .retry_after(Duration::from_secs(1));
        let status = Status::from(problem);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("PAGE_SIZE_INVALID", "schemagate")
        );
        assert_eq!(info.metadata["field"], "page_size");
        assert_eq!(info.metadata["given"], "-1");
        assert_eq!(status.message(), "page_size: negative");
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "page_size");
        assert_eq!(
            status.get_details_retry_info().unwrap().retry_delay,
            Some(Duration::from_secs(1))
        );
    }

    #[test]
    fn long_texts_are_truncated_at_a_character() {
        let text = "é".repeat(MAX_MESSAGE);
        let problem = Problem::new(Code::Internal, Reason::Internal, &text).with("key", &text);
        assert!(problem.message().len() <= MAX_MESSAGE && problem.message().ends_with('…'));
        assert!(problem.info("key").unwrap().len() <= MAX_VALUE);
    }
}
