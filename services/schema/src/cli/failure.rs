//! What a command says when it has no result: the server's words, then what to do.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use common::database::chain;
use serde_json::json;
use tonic::{Code, Status, transport::Uri};
use tonic_types::StatusExt as _;

use super::{advice, output::Output};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing answers there.
    #[error("the schema service at {url} cannot be reached")]
    Unreachable {
        /// Where it was looked for.
        url: Uri,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The server refused, or failed, or was lost on the way.
    #[error("{}", .0.message())]
    Refused(Status),
    /// What was done here went wrong.
    #[error("{0}")]
    Local(Box<dyn std::error::Error>),
    /// Nobody reads the result any more, or it cannot be written.
    #[error("the result cannot be written")]
    Output(#[from] io::Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

impl Failure {
    /// Prints it, and says with which status the process ends.
    pub(super) fn report(&self, output: Output) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // `schema log | head`: the reader has what it wanted.
            return ExitCode::SUCCESS;
        }
        let text = if output.json { self.as_json().to_string() } else { self.for_people() };
        // Nobody is left to be told that standard error is closed.
        let _ = writeln!(io::stderr(), "{text}");
        ExitCode::FAILURE
    }

    fn for_people(&self) -> String {
        match self.advice() {
            Some(advice) => format!("schema: {}\n  {advice}", self.words()),
            None => format!("schema: {}", self.words()),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Refused(status) if status.message().is_empty() => status.code().to_string(),
            Self::Local(error) => chain(error.as_ref()),
            other => chain(other),
        }
    }

    fn as_json(&self) -> serde_json::Value {
        let (code, reason, metadata) = match self {
            Self::Refused(status) => {
                let info = status.get_details_error_info();
                let (reason, metadata) =
                    info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
                (status.code(), reason, metadata)
            }
            Self::Unreachable { .. } => {
                (Code::Unavailable, "SCHEMA_UNREACHABLE".into(), Default::default())
            }
            Self::Local(_) | Self::Output(_) => (Code::Unknown, "LOCAL".into(), Default::default()),
        };
        json!({"error": {
            "code": code_name(code),
            "reason": reason,
            "message": self.words(),
            "advice": self.advice().unwrap_or_default(),
            "metadata": metadata,
        }})
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(advice::START.into()),
            Self::Refused(status) => match status.get_details_error_info() {
                Some(info) => advice::on_refusal(&info.reason, &info.metadata),
                None => Some(advice::on_loss(status.code()).into()),
            },
            Self::Local(_) | Self::Output(_) => None,
        }
    }
}

/// `FAILED_PRECONDITION`, as the protocol spells it.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use common::status::Problem;

    use super::*;

    #[test]
    fn a_refusal_for_programs_and_for_people() {
        let problem = Problem::new(Code::FailedPrecondition, "TARGET_BEHIND", "'0001' is behind");
        let failure = Failure::from(Status::from(problem.with("target", "0001")));
        assert_eq!(
            failure.for_people(),
            "schema: '0001' is behind\n  to go back: schema downgrade 0001"
        );
        let json = failure.as_json();
        assert_eq!(json["error"]["code"], "FAILED_PRECONDITION");
        assert_eq!(json["error"]["reason"], "TARGET_BEHIND");
        assert_eq!(json["error"]["metadata"]["target"], "0001");
    }
}
