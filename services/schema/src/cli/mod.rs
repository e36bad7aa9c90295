//! The command line: the service itself, and a client of its RPCs with Alembic's words.
//!
//! One file a command, with its flags and what it does. `client` is the connection that they
//! share, `advice` what to do when there is no result; how either is printed is in `cli`.

mod advice;
mod certs;
mod client;
mod current;
mod describe;
mod health;
mod history;
mod log;
mod new;
mod operate;
mod plan;
mod progress;
mod record;
mod serve;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli::{Failure, Output, TelemetryArgs, TokenArgs};

pub use certs::CertsArgs;
pub use client::{Asking, SchemaTlsArgs, SchemaTokenArgs};
pub use current::CurrentArgs;
pub use describe::DescribeArgs;
pub use health::HealthArgs;
pub use history::HistoryArgs;
pub use log::LogArgs;
pub use new::NewArgs;
pub use operate::{DowngradeArgs, OperationArgs, UpgradeArgs};
pub use plan::PlanArgs;
pub use record::{RepairArgs, StampArgs};
pub use serve::{AccessArgs, ListenArgs, ServeArgs, TlsArgs};
pub use verify::VerifyArgs;
pub use watch::WatchArgs;

use crate::access::POLICY;

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  refused, failed, or the schema service cannot be reached
  2  a command line that cannot be read
  3  current --check: the schema is not at head; verify: the catalog lacks something

Results go to standard output; words for people, progress bars and errors to standard error.
With --json every result is one JSON object on a line, in protobuf's own form, errors too.";

/// One database's schema: its migrations, where it stands, and how it gets to head.
#[derive(Debug, Parser)]
#[command(name = "schema", version, after_help = EXIT_STATUS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Logs.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// What the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answers schema.v1.SchemaService for one database.
    Serve(ServeArgs),
    /// Asks the service that listens here whether it serves: exits 0 where it does, else 1.
    Health(HealthArgs),
    /// What asks the schema service.
    #[command(flatten)]
    Client(ClientCommand),
    /// Makes a token for a caller, and prints it once: on standard output the token, on standard
    /// error the entry that lets it in.
    #[command(mut_arg("bot_type", |arg| arg.hide(true)))]
    Token(TokenArgs),
    /// Makes the folders of a new migration, to be filled in.
    New(NewArgs),
    /// Writes catalog.txt beside each migration: what it leaves behind, found out on a scratch
    /// database.
    Describe(DescribeArgs),
    /// Makes an authority, and certificates of servers and clients, to try TLS. For development.
    Certs(CertsArgs),
}

/// What asks the schema service, wherever it is.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Where the schema stands: "0002 (head)". Why it is not at head goes to standard error.
    Current(Asking<CurrentArgs>),
    /// Applies pending revisions.
    Upgrade(Asking<UpgradeArgs>),
    /// Reverts applied revisions, newest first.
    Downgrade(Asking<DowngradeArgs>),
    /// The revisions, newest first.
    History(Asking<HistoryArgs>),
    /// What an upgrade or a downgrade would run, and what it would cost. Changes nothing.
    Plan(Asking<PlanArgs>),
    /// Compares the live catalog with what the current revision promises.
    Verify(Asking<VerifyArgs>),
    /// Records a revision as applied without running it, to adopt a database.
    Stamp(Asking<StampArgs>),
    /// Takes the text that the service holds for an altered revision as the right one.
    Repair(Asking<RepairArgs>),
    /// The operations that were ever run, newest first.
    Log(Asking<LogArgs>),
    /// Follows the state: a line for every change.
    Watch(Asking<WatchArgs>),
}

impl Command {
    /// Does it, and says with which status the process ends. Failures are printed.
    pub async fn run(self) -> ExitCode {
        let (output, result) = match self {
            Self::Serve(args) => (Output::default(), args.run().await),
            Self::Health(args) => (Output::default(), args.run().await),
            Self::Token(args) => (args.output, args.run(&POLICY).map_err(Into::into)),
            Self::New(args) => (args.output, args.run()),
            Self::Describe(args) => (args.output, args.run().await),
            Self::Certs(args) => (args.output, args.run()),
            Self::Client(command) => return command.run().await,
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => advice::report(&Failure::Local(error), output),
        }
    }
}

impl ClientCommand {
    async fn run(self) -> ExitCode {
        match self {
            Self::Current(asking) => asking.run(current::run).await,
            Self::Upgrade(asking) => asking.run(operate::upgrade).await,
            Self::Downgrade(asking) => asking.run(operate::downgrade).await,
            Self::History(asking) => asking.run(history::run).await,
            Self::Plan(asking) => asking.run(plan::run).await,
            Self::Verify(asking) => asking.run(verify::run).await,
            Self::Stamp(asking) => asking.run(record::stamp).await,
            Self::Repair(asking) => asking.run(record::repair).await,
            Self::Log(asking) => asking.run(log::run).await,
            Self::Watch(asking) => asking.run(watch::run).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_fit_together() {
        Cli::command().debug_assert();
    }
}
