//! The `schema` binary. Its commands belong to the binary, so that the compiler keeps them to what
//! the library exports: the service, its callers' roles, and how a revision is written for people.

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
