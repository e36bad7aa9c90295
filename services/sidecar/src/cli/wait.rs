//! `gate wait`.

use std::process::ExitCode;

use clap::Args;
use cli::{Failure, Output, WaitArgs};
use tonic_types::StatusExt as _;

use super::gate_args::SchemaClientArgs;

#[derive(Clone, Debug, Args)]
pub struct WaitCommand {
    #[command(flatten)]
    args: WaitArgs,
    #[command(flatten)]
    schema: SchemaClientArgs,
    #[command(flatten)]
    output: Output,
}

impl WaitCommand {
    pub(super) async fn run(self) -> ExitCode {
        let Self { args, schema, output } = self;
        let connect = async || schema.connect().await;
        let waited = async {
            // A file that cannot be used is not waited for.
            schema.files().check().map_err(|error| Failure::Local(error.into()))?;
            cli::wait(&args, &schema.url, output, connect).await
        };
        waited.await.unwrap_or_else(|failure| failure.report("gate", advice(&failure), output))
    }
}

fn advice(failure: &Failure) -> Option<String> {
    let Failure::Refused(status) = failure else { return None };
    let info = status.get_details_error_info()?;
    cli::advice("schema", "schema-", &info.reason, &info.metadata)
}
