//! The `gate` binary.

mod cli;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = ::cli::init_logging(&cli.telemetry) {
        Cli::command().error(ErrorKind::ValueValidation, format!("--log: {error}")).exit();
    }
    ::cli::run(cli.command.run())
}
