//! The commands that call the schema service.

use std::process::ExitCode;

use api::schema::v1::schema_service_client::SchemaServiceClient;
use clap::{Args, Subcommand};
use cli::{Failure, Output};

use super::{
    advice,
    client::{Client, SchemaClientArgs},
    current, history, log, operate, plan, record, verify, watch,
};

#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Print the current revision, such as "0002 (head)". Why it is not head goes to standard
    /// error.
    Current(Call<current::CurrentArgs>),
    /// Apply pending revisions.
    Upgrade(Call<operate::UpgradeArgs>),
    /// Revert applied revisions, newest first.
    Downgrade(Call<operate::DowngradeArgs>),
    /// List the revisions, newest first.
    History(Call<history::HistoryArgs>),
    /// Print what an upgrade or a downgrade would run, lock and lose. Changes nothing.
    Plan(Call<plan::PlanArgs>),
    /// Compare the live catalog with the one that is expected of the current revision.
    Verify(Call<verify::VerifyArgs>),
    /// Record a revision as applied without running it, to adopt a database.
    Stamp(Call<record::StampArgs>),
    /// Accept the text that the service holds for an altered revision.
    Repair(Call<record::RepairArgs>),
    /// List the operations that were run, newest first.
    Log(Call<log::LogArgs>),
    /// Follow the state of the schema, one line for each change.
    Watch(Call<watch::WatchArgs>),
    /// Wait until the schema is at head, or holds a revision: exit with 0. Why it waits goes to
    /// standard error.
    Wait(Call<cli::WaitArgs>),
}

impl ClientCommand {
    pub(super) async fn run(self) -> ExitCode {
        match self {
            Self::Current(call) => call.run(current::run).await,
            Self::Upgrade(call) => call.run(operate::run).await,
            Self::Downgrade(call) => call.run(operate::run).await,
            Self::History(call) => call.run(history::run).await,
            Self::Plan(call) => call.run(plan::run).await,
            Self::Verify(call) => call.run(verify::run).await,
            Self::Stamp(call) => call.run(record::stamp).await,
            Self::Repair(call) => call.run(record::repair).await,
            Self::Log(call) => call.run(log::run).await,
            Self::Watch(call) => call.run(watch::run).await,
            Self::Wait(call) => call.wait().await,
        }
    }
}

/// The arguments of a command that calls the schema service.
#[derive(Debug, Args)]
pub struct Call<A: Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    service: SchemaClientArgs,
    #[command(flatten)]
    output: Output,
}

impl<A: Args> Call<A> {
    /// Connects and runs the command. A failure is printed here, in the form that was asked for.
    async fn run(
        self,
        command: impl AsyncFnOnce(A, Client, Output) -> Result<ExitCode, Failure>,
    ) -> ExitCode {
        let output = self.output;
        let run = async {
            let connection = self.service.connect().await?;
            command(self.args, SchemaServiceClient::new(connection), output).await
        };
        run.await.unwrap_or_else(|failure| advice::report(&failure, output))
    }
}

impl Call<cli::WaitArgs> {
    /// Connects by itself, as often as it takes.
    async fn wait(self) -> ExitCode {
        let Self { args, service, output } = self;
        let connect = async || service.connect().await;
        let waited = async {
            // A file that cannot be used is not waited for.
            service.files().check().map_err(|error| Failure::Local(error.into()))?;
            cli::wait(&args, &service.url, output, connect).await
        };
        waited.await.unwrap_or_else(|failure| advice::report(&failure, output))
    }
}
