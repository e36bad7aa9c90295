//! The connection to the schema service, which every asking command has.

use std::{process::ExitCode, time::Duration};

use api::schema::v1::schema_service_client::SchemaServiceClient;
use clap::Args;
use tonic::transport::{Channel, Endpoint, Uri};

use super::{failure::Failure, output::Output};

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a silent server is asked whether it is still there, and how long it may take to say so:
/// a migration may be silent for hours.
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(10)];

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
        default_value = "http://127.0.0.1:50051",
        value_parser = schema_url
    )]
    pub schema_url: Uri,
    /// How the answer is printed.
    #[command(flatten)]
    pub output: Output,
}

/// The RPCs, at the other end of a connection.
pub type Client = SchemaServiceClient<Channel>;

impl<A: Args> Asking<A> {
    /// Connects and asks. A failure is printed here, in the form that was asked for.
    pub(super) async fn run(
        self,
        ask: impl AsyncFnOnce(A, Client, Output) -> Result<ExitCode, Failure>,
    ) -> ExitCode {
        let output = self.output;
        let asked = async {
            let client = connect(&self.schema_url).await?;
            ask(self.args, client, output).await
        };
        asked.await.unwrap_or_else(|failure: Failure| failure.report(output))
    }
}

async fn connect(url: &Uri) -> Result<Client, Failure> {
    let [interval, timeout] = KEEPALIVE;
    let endpoint = Endpoint::from(url.clone())
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(interval)
        .keep_alive_timeout(timeout);
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|source| Failure::Unreachable { url: url.clone(), source })?;
    Ok(SchemaServiceClient::new(channel))
}

fn schema_url(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{error}: as in http://host:50051"))?;
    match uri.scheme_str() {
        Some("http") => Ok(uri),
        Some(other) => Err(format!("{other}:// is not understood: as in http://host:50051")),
        None => Err("no scheme: as in http://host:50051".into()),
    }
}
