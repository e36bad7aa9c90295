//! Both services in one process, on an SQLite file, for trying them out.
//!
//! They connect to each other over TCP, as separate processes do.

use std::{io, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use api::gate::v1::{ReadinessRequest, readiness_service_client::ReadinessServiceClient};
use clap::Parser;
use cli::TelemetryArgs;
use database::DatabaseUrl;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

/// Database connections of the chat service.
const CHAT_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// How often the gate is polled until it opens.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Run the schema service and the chat service in one process, on embedded SQLite, upgraded to head
#[derive(Clone, Debug, Parser)]
#[command(name = "stack", version)]
pub struct Args {
    /// SQLite file; created if missing
    #[arg(long, value_name = "PATH", default_value = "schemagate.db")]
    pub file: PathBuf,
    /// Address of the schema service
    #[arg(long, env = "SCHEMA_LISTEN", default_value = "127.0.0.1:50051", value_parser = loopback)]
    pub schema_listen: SocketAddr,
    /// Address of the chat service
    #[arg(long, env = "CHAT_LISTEN", default_value = "127.0.0.1:50052", value_parser = loopback)]
    pub chat_listen: SocketAddr,
    /// Logs.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// Accepts loopback addresses only: the stack does not authenticate callers.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err("not the loopback: every client that reaches it could call every method; \
         use schema serve and chat serve with --access-file"
        .into())
}

/// Why the stack cannot run or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is in use, or standard output is closed.
    #[error(transparent)]
    Listen(#[from] io::Error),
    /// The schema service failed.
    #[error("the schema service failed")]
    Schema(#[from] schema::Error),
    /// The chat service failed.
    #[error("the chat service failed")]
    Chat(#[from] chat::Error),
}

/// Serves both until `stopping` is cancelled or one of them fails; then the other ends too.
///
/// # Errors
/// An address is in use, or a service fails.
pub async fn run(args: Args, stopping: CancellationToken) -> Result<(), Error> {
    let database = DatabaseUrl::Sqlite { path: args.file, read_only: false };
    let schema_listener = transport::bind(args.schema_listen).await?;
    let chat_listener = transport::bind(args.chat_listen).await?;
    let chat_address = chat_listener.local_addr()?;
    transport::announce("schema", &schema_listener)?;
    transport::announce("chat", &chat_listener)?;

    let schema_config = schema::Config {
        step_grace: schema::STEP_GRACE,
        reflection: Default::default(),
        database: database.clone(),
        upgrade_on_start: true,
        revisions: None,
    };
    let schema_url = format!("http://{}", schema_listener.local_addr()?);
    let schema_url = schema_url.parse().map_err(io::Error::other)?;
    let mut chat_config = chat::Config::new(database, schema_url);
    chat_config.limits.connections = CHAT_CONNECTIONS;
    // The chat service ends first: without the schema service its gate would close.
    let chat_ended = CancellationToken::new();
    let schema = async {
        let ended = schema::serve(schema_config, schema_listener, chat_ended.clone()).await;
        stopping.cancel();
        ended
    };
    let chat = async {
        let ended = chat::serve(chat_config, chat_listener, stopping.clone()).await;
        chat_ended.cancel();
        ended
    };
    let (schema, chat, ()) = tokio::join!(schema, chat, print_hint(chat_address, &stopping));
    schema?;
    chat?;
    Ok(())
}

/// Prints how to make a first call, once it would be served.
async fn print_hint(chat: SocketAddr, stopping: &CancellationToken) {
    if stopping.run_until_cancelled(gate_open(chat)).await.is_some() {
        println!("try: grpcurl -plaintext {chat} chat.v1.ChatService/ListChats");
    }
}

/// Polls the gate, not health: a client that calls health counts as a probe, and shutdown waits for
/// probes.
async fn gate_open(chat: SocketAddr) {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{chat}")) else { return };
    let mut gate = ReadinessServiceClient::new(endpoint.connect_lazy());
    while !gate
        .readiness(ReadinessRequest {})
        .await
        .is_ok_and(|readiness| readiness.into_inner().open)
    {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
