//! The command line: the service itself, and a client of its RPCs that prints as Alembic does.
//!
//! One file for each command, with its flags and its code. `client` is the connection of the
//! commands that call the service, `advice` says what to do about a failure.

mod advice;
mod certs;
mod client;
mod client_command;
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
use schema::access::POLICY;

use self::client_command::ClientCommand;

const EXIT_STATUS: &str = "\
Exit status:
  0  success
  1  refused or failed, or the schema service cannot be reached
  2  invalid command line
  3  current --check: the schema is not at head; wait: timed out;
     verify: something is missing or degraded

Results go to standard output; notes, progress bars and errors go to standard error.
With --json every result and every error is one JSON object on a line, in ProtoJSON.";

/// Serve the schema of one database: its revisions, its state, and its upgrades.
#[derive(Debug, Parser)]
#[command(name = "schema", version, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve schema.v1.SchemaService for one database.
    Serve(serve::ServeArgs),
    /// Check the service that listens on this machine: exit with 0 if it is serving, else with 1.
    Health(health::HealthArgs),
    #[command(flatten)]
    Client(ClientCommand),
    /// Create a token for a caller, and print it once: the token on standard output, the entry of
    /// the access file on standard error.
    #[command(mut_arg("bot_type", |arg| arg.hide(true)))]
    Token(TokenArgs),
    /// Create the directories of a new revision, with files to fill in.
    New(new::NewArgs),
    /// Write catalog.txt beside each revision: what it leaves behind on a scratch database.
    Describe(describe::DescribeArgs),
    /// Create an authority, and certificates of servers and clients, for development with TLS.
    Certs(certs::CertsArgs),
}

impl Command {
    /// Runs the command and prints its failure. Returns the exit status of the process.
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_fit_together() {
        Cli::command().debug_assert();
    }
}
