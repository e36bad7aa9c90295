//! `schema upgrade` and `schema downgrade`.

use std::process::ExitCode;

use api::schema::v1::{DowngradeRequest, Event, UpgradeRequest};
use clap::Args;
use cli::{Failure, Output};
use humantime::Duration;
use tonic::Streaming;

use super::{client::Client, progress::Progress};

/// The status of a process that ctrl-c ended, as shells have it.
const INTERRUPTED: u8 = 130;

/// How far up.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// head, a revision such as 0002 or a prefix that only one has, or +N.
    #[arg(allow_negative_numbers = true, default_value = "head")]
    pub target: String,
    /// How it runs.
    #[command(flatten)]
    pub operation: OperationArgs,
}

/// How far down.
#[derive(Debug, Args)]
pub struct DowngradeArgs {
    /// The revision to stop at, -N, or base.
    #[arg(allow_negative_numbers = true)]
    pub target: String,
    /// How it runs.
    #[command(flatten)]
    pub operation: OperationArgs,
}

/// How an operation runs.
#[derive(Debug, Args)]
pub struct OperationArgs {
    /// How long to wait for another operation, and for the locks that a step needs, such as 10m.
    /// The server's default is 60s.
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Duration>,
    /// How long one statement may hold up others while it waits for a lock, before its step is
    /// rolled back and tried again. The server's default is 2s.
    #[arg(long, value_name = "TIME")]
    pub lock_timeout: Option<Duration>,
    /// Go on although a live service would break.
    #[arg(long)]
    pub force: bool,
    /// Go on although rows or values would be lost.
    #[arg(long)]
    pub allow_data_loss: bool,
    /// Run only if this is the current revision; "base" for an empty database.
    #[arg(long, value_name = "REVISION")]
    pub expected_current: Option<String>,
    /// Run only if this is still the plan: the digest that `schema plan` printed.
    #[arg(long, value_name = "DIGEST")]
    pub plan_digest: Option<String>,
}

impl OperationArgs {
    fn expected_current(&self) -> Option<String> {
        let expected = self.expected_current.as_deref()?;
        Some(if expected == "base" { String::new() } else { expected.into() })
    }
}

pub(super) async fn upgrade(
    args: UpgradeArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let progress = Progress::new(output, "applied");
    let operation = args.operation;
    let request = UpgradeRequest {
        target: args.target,
        lock_timeout: wire(operation.lock_timeout),
        wait: wire(operation.wait),
        force: operation.force,
        allow_data_loss: operation.allow_data_loss,
        expected_current: operation.expected_current(),
        plan_digest: operation.plan_digest.unwrap_or_default(),
    };
    let started = async { Ok(client.upgrade(request).await?.into_inner()) };
    follow(started, |response| response.event, progress, output).await
}

pub(super) async fn downgrade(
    args: DowngradeArgs,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let progress = Progress::new(output, "reverted");
    let operation = args.operation;
    let request = DowngradeRequest {
        target: args.target,
        lock_timeout: wire(operation.lock_timeout),
        wait: wire(operation.wait),
        force: operation.force,
        allow_data_loss: operation.allow_data_loss,
        expected_current: operation.expected_current(),
        plan_digest: operation.plan_digest.unwrap_or_default(),
    };
    let started = async { Ok(client.downgrade(request).await?.into_inner()) };
    follow(started, |response| response.event, progress, output).await
}

/// Shows the events up to the end. The operation is the server's: ctrl-c leaves it running.
async fn follow<R>(
    started: impl Future<Output = Result<Streaming<R>, Failure>>,
    event: impl Fn(R) -> Option<Event>,
    mut progress: Progress,
    output: Output,
) -> Result<ExitCode, Failure> {
    let shown = async {
        let mut responses = started.await?;
        while let Some(response) = responses.message().await? {
            progress.show(&event(response).unwrap_or_default())?;
        }
        Ok(ExitCode::SUCCESS)
    };
    tokio::select! {
        ended = shown => ended,
        _ = tokio::signal::ctrl_c() => {
            output.note("the operation goes on at the server: schema watch follows it");
            Ok(INTERRUPTED.into())
        }
    }
}

fn wire(duration: Option<Duration>) -> Option<prost_types::Duration> {
    // One that does not fit is more than a year: the server refuses it by name.
    duration.map(|given| {
        prost_types::Duration::try_from(std::time::Duration::from(given))
            .unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
    })
}
