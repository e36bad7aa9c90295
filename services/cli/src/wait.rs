//! `gate wait` and `schema wait`: until the schema is at head, or holds a revision.

use std::{future::pending, process::ExitCode, time::Duration};

use api::schema::v1::{
    SchemaState, Status as SchemaStatus, WatchRequest, schema_service_client::SchemaServiceClient,
};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tonic::{Code, Status, transport::Uri};
use wire::{error_chain, status_message};

use crate::{Connection, Failure, NOT_SO, Output, rounded};

/// The exit status of a program that SIGTERM ended. As a container's first process it is not ended
/// without a handler.
const TERMINATED: u8 = 128 + 15;

/// The pauses before the schema service is called again: 25 to 50 ms at first, 1 to 2 s in the end.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(25))
    .with_max_delay(Duration::from_secs(1))
    .without_max_times()
    .with_jitter();
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The flags of `wait`.
#[derive(Clone, Debug, clap::Args)]
pub struct WaitArgs {
    /// Wait until this revision is applied, rather than for head
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Exit with 3 after this time. Default: wait without limit
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<humantime::Duration>,
}

/// Waits until the schema is at head, or holds the revision. Prints why it waits on standard error,
/// one line for each change, and the state that it waited for on standard output. Watches as an
/// observer, which blocks no operation, and connects again with a growing pause.
///
/// Returns the exit status: 0, or 3 where the time is over.
///
/// # Errors
/// The schema service refuses the call for a reason that waiting does not change, such as a token
/// that it does not know.
pub async fn wait(
    args: &WaitArgs,
    url: &Uri,
    output: Output,
    connect: impl AsyncFn() -> Result<Connection, Failure>,
) -> Result<ExitCode, Failure> {
    let mut waiting = Waiting { args, url, output, last_reason: String::new() };
    let mut terminate = signal(SignalKind::terminate())?;
    let limit = async {
        match args.timeout {
            Some(timeout) => sleep(*timeout).await,
            None => pending().await,
        }
    };
    tokio::select! {
        ended = waiting.run(connect) => ended?,
        _ = terminate.recv() => return Ok(TERMINATED.into()),
        () = limit => {
            let timeout = rounded(args.timeout.map(Into::into).unwrap_or_default());
            output.note(format_args!("timed out after {timeout}: {}", waiting.last_reason));
            return Ok(NOT_SO.into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Waiting<'a> {
    args: &'a WaitArgs,
    url: &'a Uri,
    output: Output,
    /// What was printed last.
    last_reason: String,
}

impl Waiting<'_> {
    async fn run(
        &mut self,
        connect: impl AsyncFn() -> Result<Connection, Failure>,
    ) -> Result<(), Failure> {
        let mut pauses = BACKOFF.build();
        loop {
            let mut has_answered = false;
            match self.watch(&connect, &mut has_answered).await {
                Ok(state) => {
                    self.output.result(&state, &reached(&state))?;
                    return Ok(());
                }
                Err(failure) if is_final(&failure) => return Err(failure),
                Err(failure) => self.report(self.unreachable(&failure)),
            }
            if has_answered {
                pauses = BACKOFF.build();
            }
            sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
        }
    }

    /// Follows the state until it is the one to wait for.
    async fn watch(
        &mut self,
        connect: &impl AsyncFn() -> Result<Connection, Failure>,
        has_answered: &mut bool,
    ) -> Result<SchemaState, Failure> {
        let mut client = SchemaServiceClient::new(connect().await?);
        let mut states = client.watch(WatchRequest::default()).await?.into_inner();
        while let Some(response) = states.message().await? {
            *has_answered = true;
            let state = response.state.unwrap_or_default();
            let revision = self.args.revision.as_deref();
            if is_reached(&state, revision) {
                return Ok(state);
            }
            self.report(reason(&state, revision));
        }
        Err(Status::unavailable("the schema service ended the stream").into())
    }

    /// Prints why it waits, unless that was printed last.
    fn report(&mut self, reason: String) {
        if reason != self.last_reason {
            self.output.note(format_args!("waiting: {reason}"));
            self.last_reason = reason;
        }
    }

    fn unreachable(&self, failure: &Failure) -> String {
        let error = match failure {
            Failure::Refused(status) => status_message(status),
            // The URL is said below.
            Failure::Unreachable { source, .. } => error_chain(source),
            Failure::Local(error) => error_chain(error.as_ref()),
            Failure::Output(error) => error_chain(error),
        };
        format!("the schema service at {} does not answer: {error}", self.url)
    }
}

/// Whether another attempt would end as this one.
fn is_final(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable { .. } => false,
        Failure::Refused(status) => matches!(
            status.code(),
            Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented
        ),
        Failure::Local(_) | Failure::Output(_) => true,
    }
}

/// All revisions are of one width, so that text order is their order.
fn is_reached(state: &SchemaState, revision: Option<&str>) -> bool {
    let Some(revision) = revision else { return state.at_head };
    let is_in = |revisions: &[String]| revisions.iter().any(|listed| listed == revision);
    state.status() != SchemaStatus::Migrating
        && *state.revision >= *revision
        && !is_in(&state.pending)
        && !is_in(&state.out_of_order)
}

/// `schema is at 0001 but head is 0002; 1 revision is pending ...`.
fn reason(state: &SchemaState, revision: Option<&str>) -> String {
    let needed = match revision {
        Some(revision) => format!("revision {revision} is awaited"),
        None => format!("head is {}", or_base(&state.head)),
    };
    let status = state.status().as_str_name().trim_start_matches("STATUS_");
    let mut text = format!("schema is at {} but {needed} ({status})", or_base(&state.revision));
    if !state.message.is_empty() {
        text += &format!(": {}", state.message);
    }
    text
}

fn reached(state: &SchemaState) -> String {
    let head = if state.at_head { " (head)" } else { "" };
    format!("{}{head}", or_base(&state.revision))
}

fn or_base(revision: &str) -> &str {
    if revision.is_empty() { "base" } else { revision }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(revision: &str, status: SchemaStatus) -> SchemaState {
        let pending = ["0001", "0002", "0003"].into_iter().filter(|held| *held > revision);
        SchemaState {
            revision: revision.into(),
            head: "0003".into(),
            at_head: status == SchemaStatus::AtHead,
            status: status.into(),
            pending: pending.map(Into::into).collect(),
            ..SchemaState::default()
        }
    }

    #[test]
    fn head_is_awaited_unless_a_revision_is_given() {
        use SchemaStatus::{Ahead, AtHead, Behind, Drifted, Empty, Migrating};
        for (at, status, revision, expected) in [
            ("0003", AtHead, None, true),
            ("0003", Drifted, None, false),
            ("0002", Behind, None, false),
            ("", Empty, None, false),
            ("0002", Behind, Some("0002"), true),
            ("0003", AtHead, Some("0002"), true),
            ("0004", Ahead, Some("0003"), true),
            ("0002", Migrating, Some("0002"), false),
            ("0001", Behind, Some("0002"), false),
            ("", Empty, Some("0001"), false),
        ] {
            let state = state(at, status);
            assert_eq!(is_reached(&state, revision), expected, "{at} {status:?} {revision:?}");
        }
        let gap = SchemaState {
            out_of_order: vec!["0002".into()],
            ..state("0003", SchemaStatus::Behind)
        };
        assert!(!is_reached(&gap, Some("0002")));
    }

    #[test]
    fn the_reason_has_both_revisions_and_the_services_own_message() {
        let mut behind = state("0001", SchemaStatus::Behind);
        behind.message = "2 revisions are pending".into();
        assert_eq!(
            reason(&behind, None),
            "schema is at 0001 but head is 0003 (BEHIND): 2 revisions are pending"
        );
        let empty = state("", SchemaStatus::Empty);
        assert_eq!(
            reason(&empty, Some("0002")),
            "schema is at base but revision 0002 is awaited (EMPTY)"
        );
    }
}
