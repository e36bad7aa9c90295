//! The command line.

mod chats;
mod client_args;
mod import;
mod ready;
mod send;
mod tail;

use std::process::ExitCode;

use access::BearerError;
use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use cli::{DatabaseArgs, HealthArgs, TelemetryArgs, TokenArgs, in_file, redacted};
use gate::Mode;

use crate::{
    BusUrl, Config, Limits,
    serve::{MAX_STALENESS, SHUTDOWN_NOTICE},
};

pub use chats::{CreateArgs, ListArgs};
pub use client_args::{ChatClientArgs, ClientArgs};
pub use import::ImportArgs;
pub use send::SendArgs;
pub use tail::TailArgs;

const EXIT_STATUS: &str = "\
Exit status:
  0  success
  1  the call was refused or failed, or the chat service cannot be reached; import: lines were refused
  2  invalid command line
  3  ready: the gate is closed

Results are written to standard output, errors to standard error. With --json, each result and each
error is one JSON object on a line, in protobuf's JSON mapping.";

/// Serve chats behind a gate, or call a chat service
///
/// The gate is open while the database's schema is one that this build can run on. While it is closed,
/// calls are refused with the reason.
#[derive(Debug, Parser)]
#[command(name = "chat", version, after_help = EXIT_STATUS)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve chat.v1 on one database, behind the gate
    Serve(ServeArgs),
    /// Check the health of the service on this machine: exit 0 if it is SERVING, else 1
    Health {
        #[command(flatten)]
        listen: ListenArgs,
        #[command(flatten)]
        health: HealthArgs,
    },
    /// Create a token for a caller
    ///
    /// Prints the token on standard output, once, and the caller's entry for the access file on
    /// standard error.
    Token(TokenArgs),
    #[command(flatten)]
    Client(ClientCommand),
}

/// A command that calls a running service.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Show whether the gate is open, and each proof with its evidence: exit 0 if open, 3 if closed
    Ready(ClientArgs),
    /// List chats, the chat with the newest message first
    List(ListArgs),
    /// Create a chat
    Create(CreateArgs),
    /// Send a message to a chat
    Send(SendArgs),
    /// Print the messages of a chat, or of all chats, as they arrive
    ///
    /// Each message is printed once and in order, also when the service restarts.
    Tail(TailArgs),
    /// Create or update chats from a file of JSON lines
    Import(ImportArgs),
}

cli::listen_args!("CHAT", "127.0.0.1:50052");
cli::access_args!("CHAT");
cli::client_args!(SchemaClientArgs, "schema", "SCHEMA", "schema-", "http://127.0.0.1:50051");

#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
    #[command(flatten)]
    pub access: AccessArgs,
    #[command(flatten)]
    pub metrics: MetricsArgs,
    #[command(flatten)]
    pub schema: SchemaClientArgs,
    /// Revision at which the gate opens. An open gate stays open while revisions are pending
    #[arg(long, env = "CHAT_GATE", value_name = "MODE", default_value = "head", value_parser = mode())]
    pub gate: Mode,
    /// Close an open gate after this time without an answer of the schema service
    #[arg(long, env = "CHAT_MAX_STALENESS", value_name = "DURATION", default_value_t = MAX_STALENESS.into())]
    pub max_staleness: humantime::Duration,
    /// Keep serving for up to this time after SIGTERM, until probes have seen NOT_SERVING; no time if
    /// there are no probes
    #[arg(long, env = "CHAT_NOTICE", value_name = "DURATION", default_value_t = SHUTDOWN_NOTICE.into())]
    pub notice: humantime::Duration,
    /// Number of probes that must see NOT_SERVING within the notice: the balancer's failure threshold
    #[arg(long, env = "CHAT_PROBE_FAILURES", value_name = "COUNT", default_value_t = 1)]
    pub probe_failures: u32,
    #[command(flatten)]
    pub limits: Limits,
    /// URL of the NATS servers that wake the other replicas after a commit, such as
    /// nats://host:4222 or tls://user:password@host:4222; several are separated by commas. Without it,
    /// or while NATS cannot be reached, replicas poll every second
    #[arg(
        long,
        env = "CHAT_BUS",
        hide_env_values = true,
        value_name = "URL",
        value_parser = redacted::<BusUrl>()
    )]
    pub bus: Option<BusUrl>,
    /// File that holds the URL of the NATS servers
    #[arg(
        long,
        env = "CHAT_BUS_FILE",
        value_name = "FILE",
        conflicts_with = "bus",
        value_parser = in_file::<BusUrl>
    )]
    pub bus_file: Option<BusUrl>,
}

impl ClientCommand {
    /// Runs the command, prints its result or failure, and returns the exit status.
    pub async fn run(self) -> ExitCode {
        match self {
            Self::Ready(client) => client.run(ready::ready(&client)).await,
            Self::List(args) => args.client.run(chats::list(&args)).await,
            Self::Create(args) => args.client.clone().run(chats::create(args)).await,
            Self::Send(args) => args.client.clone().run(send::send(args)).await,
            Self::Tail(args) => args.client.clone().run(tail::tail(args)).await,
            Self::Import(args) => args.client.clone().run(import::import(args)).await,
        }
    }
}

impl ServeArgs {
    /// The bus of `--bus` or `--bus-file`.
    pub fn bus(&self) -> Option<&BusUrl> {
        self.bus.as_ref().or(self.bus_file.as_ref())
    }

    /// # Errors
    /// The token file cannot be used.
    pub fn config(&self) -> Result<Config, BearerError> {
        Ok(Config {
            database: self.database.url().clone(),
            schema_url: self.schema.url.clone(),
            schema_tls: self.schema.files(),
            schema_token: self.schema.bearer()?,
            gate: self.gate,
            max_staleness: self.max_staleness.into(),
            notice: self.notice.into(),
            probe_failures: self.probe_failures,
            limits: self.limits,
            bus: self.bus().cloned(),
            reflection: self.access.reflection,
        })
    }
}

/// Parses a mode here: the gate does not depend on clap.
fn mode() -> impl TypedValueParser<Value = Mode> {
    let head = PossibleValue::new("head").help("Open if the schema is at head");
    let required = PossibleValue::new("required")
        .help("Open if the schema holds the oldest revision that this build can run on");
    PossibleValuesParser::new([head, required]).map(|name| match name.as_str() {
        "required" => Mode::Required,
        _ => Mode::Head,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_mode_is_head_or_required() {
        let parse = |gate: &[&str]| {
            let line = ["chat", "serve", "--database-url", "sqlite:x.db"];
            let cli = Cli::try_parse_from(line.iter().chain(gate))?;
            let Command::Serve(args) = cli.command else { panic!("not serve") };
            Ok::<_, clap::Error>(args.config().unwrap().gate)
        };
        assert_eq!(parse(&[]).unwrap(), Mode::Head);
        assert_eq!(parse(&["--gate", "head"]).unwrap(), Mode::Head);
        assert_eq!(parse(&["--gate", "required"]).unwrap(), Mode::Required);
        assert!(parse(&["--gate", "none"]).unwrap_err().to_string().contains("head, required"));
    }
}
