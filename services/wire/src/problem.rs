//! Errors on the wire: a gRPC code, a stable reason for programs, words for people.
//!
//! Every error carries `google.rpc.ErrorInfo`; clients branch on its reason, never on text.

use std::{collections::HashMap, error::Error as _, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::error_chain;

/// The `ErrorInfo.domain` of every error of this product.
pub const DOMAIN: &str = "schemagate";

/// An error as a client reads it. It holds no internals.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    message: String,
    details: Box<ErrorDetails>,
}

impl Problem {
    /// A problem with its reason, in UPPER_SNAKE: what programs branch on.
    pub fn new(code: Code, reason: &str, message: impl Into<String>) -> Self {
        let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        Self { code, message: cut(message.into(), WORDS), details: Box::new(details) }
    }

    /// INVALID_ARGUMENT at one field, named by its path in the request.
    pub fn invalid(field: &str, reason: &str, what: impl Into<String>) -> Self {
        let (field, what) = (cut(field.to_owned(), PAIR), cut(what.into(), WORDS - PAIR));
        let mut problem = Self::new(Code::InvalidArgument, reason, format!("{field}: {what}"))
            .with("field", &field);
        problem.details.add_bad_request_violation(field, what);
        problem
    }

    /// INTERNAL with a fixed text. Log the cause once, where this is made.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "INTERNAL", "internal error; the server's log has the cause")
    }

    /// Adds a pair to the `ErrorInfo`'s metadata.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        let (reason, mut metadata) = match self.details.error_info() {
            Some(info) => (info.reason.clone(), info.metadata.clone()),
            None => Default::default(),
        };
        metadata.insert(key.into(), cut(value.into(), PAIR));
        self.details.set_error_info(reason, DOMAIN, metadata);
        self
    }

    /// Adds `RetryInfo`: when it makes sense to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.details.set_retry_info(Some(delay));
        self
    }

    /// Adds a `PreconditionFailure`: what of the state forbids the call.
    #[must_use]
    pub fn precondition(mut self, kind: &str, subject: &str, description: &str) -> Self {
        self.details.add_precondition_failure_violation(kind, subject, description);
        self
    }

    /// The words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The reason, for programs.
    pub fn reason(&self) -> &str {
        self.details.error_info().map_or("", |info| &info.reason)
    }

    /// A value of the `ErrorInfo`'s metadata, such as the `field` of an invalid one.
    pub fn info(&self, key: &str) -> Option<&str> {
        self.details.error_info()?.metadata.get(key).map(String::as_str)
    }
}

/// The bytes of a problem's words and of a pair's value, at most: an error travels in headers, of
/// which clients take some 16 KiB, and a part of it may be what somebody sent.
const WORDS: usize = 2_000;
const PAIR: usize = 500;

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// What a refusal says, or what went wrong on the way to the server: only that has a cause here.
pub fn status_message(status: &Status) -> String {
    match status.source() {
        Some(cause) => error_chain(cause),
        None if status.message().is_empty() => status.code().to_string(),
        None => status.message().to_owned(),
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        Self::with_error_details(problem.code, problem.message, *problem.details)
    }
}
