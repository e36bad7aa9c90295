//! The command line.

mod gate_args;
mod proxy;
mod serve;
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli::{Failure, HealthArgs, Output, TelemetryArgs};
use transport::health;

use self::gate_args::ListenArgs;

const EXIT_STATUS: &str = "\
Exit status:
  0  success
  1  refused or failed
  2  invalid command line
  3  wait: the schema was not at head, or did not hold the revision, in time

Results go to standard output; logs, notes and errors go to standard error.";

/// Refuse calls to a service until its database has the schema that the service needs.
#[derive(Debug, Parser)]
#[command(name = "gate", version, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Wait until the schema is at head, or holds a revision: exit with 0. For init containers,
    /// entrypoints and jobs. Why it waits goes to standard error.
    Wait(wait::WaitCommand),
    /// Serve the readiness of a service beside it: GET /readyz, /livez and /metrics, grpc.health.v1,
    /// and Envoy's ext_authz, on one address.
    Serve(serve::ServeArgs),
    /// Pass requests to a service while its gate is open, and refuse them with the reason while it
    /// is closed: HTTP/1.1, HTTP/2, gRPC and WebSockets.
    Proxy(proxy::ProxyArgs),
    /// Check the gate that listens on this machine: exit with 0 if it is open, else with 1.
    Health {
        #[command(flatten)]
        listener: ListenArgs,
        #[command(flatten)]
        check: HealthArgs,
    },
}

impl Command {
    /// Runs the command and prints its failure. Returns the exit status of the process.
    pub async fn run(self) -> ExitCode {
        let result = match self {
            Self::Wait(command) => return command.run().await,
            Self::Serve(args) => args.run().await,
            Self::Proxy(args) => args.run().await,
            Self::Health { listener, check } => {
                let is_tls = listener.tls.files().is_some();
                health::check(listener.listen, is_tls, &check.service).await.map_err(Into::into)
            }
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => Failure::Local(error).report("gate", None, Output::default()),
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
