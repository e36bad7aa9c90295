//! `schema upgrade` and `schema downgrade`.

use std::process::ExitCode;

use api::schema::v1::{
    DowngradeRequest, DowngradeResponse, Event, UpgradeRequest, UpgradeResponse,
};
use clap::Args;
use cli::{Failure, Output};
use humantime::Duration;
use tonic::{Response, Streaming};

use super::{client::Client, progress::Progress};

/// The exit status of a process that SIGINT ended, as shells have it.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// Target: head, a revision such as 0002, a unique prefix of one, or +N.
    #[arg(allow_negative_numbers = true, default_value = "head")]
    target: String,
    #[command(flatten)]
    options: OperationArgs,
}

#[derive(Debug, Args)]
pub struct DowngradeArgs {
    /// Target: a revision, a unique prefix of one, -N, or base.
    #[arg(allow_negative_numbers = true)]
    target: String,
    #[command(flatten)]
    options: OperationArgs,
}

#[derive(Debug, Args)]
pub struct OperationArgs {
    /// Maximum time to wait for another operation and for the locks of the steps, such as 10m. The
    /// server's default is 60s.
    #[arg(long, value_name = "DURATION")]
    wait: Option<Duration>,
    /// Maximum time that one statement waits for a lock, blocking other sessions meanwhile, before its step is
    /// rolled back and retried. The server's default is 2s.
    #[arg(long, value_name = "DURATION")]
    lock_timeout: Option<Duration>,
    /// Proceed although a live dependent would break.
    #[arg(long)]
    force: bool,
    /// Proceed although rows or values would be lost.
    #[arg(long)]
    allow_data_loss: bool,
    /// Run only if this is the current revision; "base" for an empty database.
    #[arg(long, value_name = "REVISION")]
    expected_current: Option<String>,
    /// Run only if the plan is still the one with this digest, which `schema plan` prints.
    #[arg(long, value_name = "DIGEST")]
    plan_digest: Option<String>,
}

/// An operation that runs steps and streams their events.
pub(super) trait Operation {
    type Response;

    /// What happened to a step that is done.
    const STEP_DONE: &str;

    async fn start(self, client: &mut Client)
    -> tonic::Result<Response<Streaming<Self::Response>>>;

    fn event(response: Self::Response) -> Option<Event>;
}

impl Operation for UpgradeArgs {
    type Response = UpgradeResponse;

    const STEP_DONE: &str = "applied";

    async fn start(
        self,
        client: &mut Client,
    ) -> tonic::Result<Response<Streaming<Self::Response>>> {
        client.upgrade(self.options.request(self.target)).await
    }

    fn event(response: UpgradeResponse) -> Option<Event> {
        response.event
    }
}

impl Operation for DowngradeArgs {
    type Response = DowngradeResponse;

    const STEP_DONE: &str = "reverted";

    async fn start(
        self,
        client: &mut Client,
    ) -> tonic::Result<Response<Streaming<Self::Response>>> {
        // The two requests have the same fields.
        let UpgradeRequest {
            target,
            lock_timeout,
            wait,
            force,
            allow_data_loss,
            expected_current,
            plan_digest,
        } = self.options.request(self.target);
        let request = DowngradeRequest {
            target,
            lock_timeout,
            wait,
            force,
            allow_data_loss,
            expected_current,
            plan_digest,
        };
        client.downgrade(request).await
    }

    fn event(response: DowngradeResponse) -> Option<Event> {
        response.event
    }
}

impl OperationArgs {
    fn request(self, target: String) -> UpgradeRequest {
        let revision = |given: String| if given == "base" { String::new() } else { given };
        UpgradeRequest {
            target,
            lock_timeout: self.lock_timeout.map(wire_duration),
            wait: self.wait.map(wire_duration),
            force: self.force,
            allow_data_loss: self.allow_data_loss,
            expected_current: self.expected_current.map(revision),
            plan_digest: self.plan_digest.unwrap_or_default(),
        }
    }
}

fn wire_duration(duration: Duration) -> prost_types::Duration {
    // One that does not fit is longer than a year, and the server refuses it.
    prost_types::Duration::try_from(std::time::Duration::from(duration))
        .unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

/// Shows the events of an operation to its end. It belongs to the server: SIGINT leaves it running.
pub(super) async fn run<O: Operation>(
    operation: O,
    mut client: Client,
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut progress = Progress::new(output, O::STEP_DONE);
    let shown = async {
        let mut responses = operation.start(&mut client).await?.into_inner();
        while let Some(response) = responses.message().await? {
            progress.show(&O::event(response).unwrap_or_default())?;
        }
        Ok::<_, Failure>(ExitCode::SUCCESS)
    };
    tokio::select! {
        ended = shown => ended,
        _ = tokio::signal::ctrl_c() => {
            output.note("the operation continues on the server; follow it: schema watch");
            Ok(INTERRUPTED.into())
        }
    }
}
