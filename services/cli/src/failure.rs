//! How a command that fails reports it: the message, then what to do.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde_json::json;
use tonic::{Code, Status, transport::Uri};
use tonic_types::StatusExt as _;

use access::BearerError;
use api::Reason;
use wire::{code_name, error_chain, status_message};

use crate::Output;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection to the service failed.
    #[error("the {service} service at {url} cannot be reached")]
    Unreachable {
        /// The service, such as `schema`.
        service: &'static str,
        /// Its URL.
        url: Uri,
        /// The cause.
        source: tonic::transport::Error,
    },
    /// The server refused the call, or the connection broke.
    #[error("{}", .0.message())]
    Refused(Status),
    /// The command itself failed.
    #[error("{0}")]
    Local(Box<dyn std::error::Error>),
    /// Standard output is closed or cannot be written.
    #[error("cannot write the result")]
    Output(#[from] io::Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

impl From<BearerError> for Failure {
    fn from(error: BearerError) -> Self {
        Self::Local(error.into())
    }
}

impl Failure {
    /// Prints the failure with what to do about it, and returns the exit status of the process.
    pub fn report(&self, program: &str, advice: Option<String>, output: Output) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // `schema log | head`: the reader closed the pipe.
            return ExitCode::SUCCESS;
        }
        let text = match (output.json, advice) {
            (true, advice) => self.as_json(&advice.unwrap_or_default()).to_string(),
            (false, Some(advice)) => format!("{program}: {}\n  {advice}", self.message()),
            (false, None) => format!("{program}: {}", self.message()),
        };
        // No other place is left to report that standard error is closed.
        let _ = writeln!(io::stderr(), "{text}");
        ExitCode::FAILURE
    }

    fn message(&self) -> String {
        match self {
            Self::Refused(status) => status_message(status),
            Self::Local(error) => error_chain(error.as_ref()),
            other => error_chain(other),
        }
    }

    fn as_json(&self, advice: &str) -> serde_json::Value {
        let (code, reason, metadata) = match self {
            Self::Refused(status) => {
                let info = status.get_details_error_info();
                let (reason, metadata) =
                    info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
                (status.code(), reason, metadata)
            }
            Self::Unreachable { service, .. } => {
                let reason = format!("{}_UNREACHABLE", service.to_uppercase());
                (Code::Unavailable, reason, Default::default())
            }
            Self::Local(_) | Self::Output(_) => {
                (Code::Unknown, Reason::Local.to_string(), Default::default())
            }
        };
        json!({"error": {
            "code": code_name(code),
            "reason": reason,
            "message": self.message(),
            "advice": advice,
            "metadata": metadata,
        }})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Problem;

    #[test]
    fn a_refusal_as_json_has_code_reason_advice_and_metadata() {
        let problem =
            Problem::new(Code::FailedPrecondition, Reason::TargetBehind, "'0001' is behind");
        let failure = Failure::from(Status::from(problem.with("target", "0001")));
        let json = failure.as_json("go back");
        assert_eq!(json["error"]["code"], "FAILED_PRECONDITION");
        assert_eq!(json["error"]["reason"], "TARGET_BEHIND");
        assert_eq!(json["error"]["message"], "'0001' is behind");
        assert_eq!(json["error"]["advice"], "go back");
        assert_eq!(json["error"]["metadata"]["target"], "0001");
    }
}
