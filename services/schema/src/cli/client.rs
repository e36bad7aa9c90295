//! The connection to the schema service, which every asking command has.

use std::process::ExitCode;

use api::schema::v1::schema_service_client::SchemaServiceClient;
use clap::Args;
use cli::{Connection, Failure, Output, connect, service_url};
use tonic::transport::Uri;

use super::advice;

cli::client_tls_args!(SchemaTlsArgs, "SCHEMA", "");
cli::token_args!(SchemaTokenArgs, "SCHEMA", "");

/// A command that asks the schema service.
#[derive(Debug, Args)]
pub struct Asking<A: Args> {
    /// What it asks.
    #[command(flatten)]
    pub args: A,
    /// The schema service.
    #[arg(
        long,
        env = "SCHEMA_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:50051",
        value_parser = service_url()
    )]
    pub schema_url: Uri,
    /// How it is called over TLS.
    #[command(flatten)]
    pub tls: SchemaTlsArgs,
    /// Who calls it.
    #[command(flatten)]
    pub token: SchemaTokenArgs,
    /// How the answer is printed.
    #[command(flatten)]
    pub output: Output,
}

/// The RPCs, at the other end of a connection.
pub type Client = SchemaServiceClient<Connection>;

impl<A: Args> Asking<A> {
    /// Connects and asks. A failure is printed here, in the form that was asked for.
    pub(super) async fn run(
        self,
        ask: impl AsyncFnOnce(A, Client, Output) -> Result<ExitCode, Failure>,
    ) -> ExitCode {
        let output = self.output;
        let asked = async {
            let bearer = self.token.bearer(&self.schema_url)?;
            let connection = connect("schema", &self.schema_url, self.tls.files(), bearer).await?;
            ask(self.args, SchemaServiceClient::new(connection), output).await
        };
        asked.await.unwrap_or_else(|failure| advice::report(&failure, output))
    }
}
