//! The `schema` binary.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use common::{server, telemetry};
use schema::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = telemetry::init(&cli.telemetry) {
        Cli::command().error(ErrorKind::ValueValidation, format!("--log: {error}")).exit();
    }
    server::run(cli.command.run())
}
