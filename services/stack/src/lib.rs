//! Both services in one process, on a file of SQLite's: what a newcomer starts first.
//!
//! They speak to each other over their sockets, as they do when they run apart.

use std::{io, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use api::gate::v1::{ReadinessRequest, readiness_service_client::ReadinessServiceClient};
use clap::Parser;
use cli::TelemetryArgs;
use database::DatabaseUrl;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

/// How many connections the chat service may open to its file.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// How often a stack that comes up looks whether it serves.
const LOOK: Duration = Duration::from_millis(20);

/// The schema service and the chat service in one process, on embedded SQLite, upgraded to head.
#[derive(Clone, Debug, Parser)]
#[command(name = "stack", version)]
pub struct Args {
    /// SQLite's file; it is made where there is none.
    #[arg(long, value_name = "PATH", default_value = "schemagate.db")]
    pub file: PathBuf,
    /// Where the schema service listens.
    #[arg(long, env = "SCHEMA_LISTEN", default_value = "127.0.0.1:50051", value_parser = loopback)]
    pub schema_listen: SocketAddr,
    /// Where the chat service listens.
    #[arg(long, env = "CHAT_LISTEN", default_value = "127.0.0.1:50052", value_parser = loopback)]
    pub chat_listen: SocketAddr,
    /// Logs.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// An address of this machine's alone: the stack asks nobody who they are.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err("not the loopback: whoever reaches it could call everything; \
         schema serve and chat serve can be told who may"
        .into())
}

/// Why the stack cannot run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken, or standard output is closed.
    #[error(transparent)]
    Listen(#[from] io::Error),
    /// The schema service failed.
    #[error("the schema service failed")]
    Schema(#[from] schema::Error),
    /// The chat service failed.
    #[error("the chat service failed")]
    Chat(#[from] chat::Error),
}

/// Serves both until `stopping`, or until one of them fails: then the other ends too.
///
/// # Errors
/// An address is taken, or a service fails.
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
    chat_config.limits.connections = CONNECTIONS;
    // The chat service ends first: its gate would close on a schema service that is gone.
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
    let (schema, chat, ()) = tokio::join!(schema, chat, invite(chat_address, &stopping));
    schema?;
    chat?;
    Ok(())
}

/// Says how to make a first call, once it would be served.
async fn invite(chat: SocketAddr, stopping: &CancellationToken) {
    if stopping.run_until_cancelled(opened(chat)).await.is_some() {
        println!("try: grpcurl -plaintext {chat} chat.v1.ChatService/ListChats");
    }
}

/// Asks for the gate, not for health: whoever asks for health is a prober, and is waited for at
/// the end.
async fn opened(chat: SocketAddr) {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{chat}")) else { return };
    let mut gate = ReadinessServiceClient::new(endpoint.connect_lazy());
    while !gate.readiness(ReadinessRequest {}).await.is_ok_and(|said| said.into_inner().open) {
        tokio::time::sleep(LOOK).await;
    }
}
