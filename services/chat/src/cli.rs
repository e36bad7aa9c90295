//! The command line: flags and environment, read and checked before anything binds.

mod asking;
mod chats;
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
    serve::{MAX_STALENESS, NOTICE},
};

pub use asking::{Asking, ChatClientArgs};
pub use chats::{CreateArgs, ListArgs};
pub use import::ImportArgs;
pub use send::SendArgs;
pub use tail::TailArgs;

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  refused, failed, or the chat service cannot be reached; import: some lines were refused
  2  a command line that cannot be read
  3  ready: the gate is closed

Results go to standard output; errors to standard error. With --json a result is one JSON object on
a line, in protobuf's own form, errors too.";

/// Chats, behind a gate: they are served while the database's schema is the one that this build
/// needs, and refused with the reason while it is not.
#[derive(Debug, Parser)]
#[command(name = "chat", version, after_help = EXIT_STATUS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Logs.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// What the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answers chat.v1 from one database, once its schema service says that it is ready.
    Serve(ServeArgs),
    /// Asks the service that listens here whether it serves: exits 0 where it does, else 1.
    Health {
        /// Where the service listens.
        #[command(flatten)]
        here: ListenArgs,
        /// What to ask about.
        #[command(flatten)]
        asked: HealthArgs,
    },
    /// Makes a token for a caller, and prints it once: on standard output the token, on standard
    /// error the entry that lets it in.
    Token(TokenArgs),
    /// Asks a service, wherever it is.
    #[command(flatten)]
    Ask(Ask),
}

/// What is asked of a service that runs.
#[derive(Debug, Subcommand)]
pub enum Ask {
    /// Says whether the gate lets calls pass, and why: each proof with what was seen. Exits 0 where
    /// it is open, 3 where it is closed.
    Ready(Asking),
    /// The chats, the one with the newest message first.
    List(ListArgs),
    /// Makes a chat.
    Create(CreateArgs),
    /// Sends a message to a chat.
    Send(SendArgs),
    /// Follows a chat, or all of them: each message once, in order, also when the service restarts.
    Tail(TailArgs),
    /// Creates or updates chats from a file of JSON lines.
    Import(ImportArgs),
}

cli::listen_args!("CHAT", "127.0.0.1:50052");
cli::access_args!("CHAT");
cli::client_args!(SchemaClientArgs, "schema", "SCHEMA", "schema-", "http://127.0.0.1:50051");

/// How to serve.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Where to listen.
    #[command(flatten)]
    pub here: ListenArgs,
    /// Who may call.
    #[command(flatten)]
    pub access: AccessArgs,
    /// The listener for Prometheus.
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// The schema service of the same database.
    #[command(flatten)]
    pub schema: SchemaClientArgs,
    /// What of the schema opens the gate. Once open, revisions that are merely pending close
    /// neither.
    #[arg(long, env = "CHAT_GATE", default_value = "head", value_parser = mode())]
    pub gate: Mode,
    /// How long an open gate stays open while the schema service does not answer. Long: a blink
    /// of one service must not take down every replica of another.
    #[arg(long, env = "CHAT_MAX_STALENESS", value_name = "TIME", default_value_t = MAX_STALENESS.into())]
    pub max_staleness: humantime::Duration,
    /// How long it goes on serving after SIGTERM, for those who probe to see NOT_SERVING; not at
    /// all where nobody probes.
    #[arg(long, env = "CHAT_NOTICE", value_name = "TIME", default_value_t = NOTICE.into())]
    pub notice: humantime::Duration,
    /// How many probes must see it before calls are refused, if the notice lasts: as many as the
    /// balancer wants failures in a row.
    #[arg(long, env = "CHAT_PROBE_FAILURES", value_name = "NUMBER", default_value_t = 1)]
    pub probe_failures: u32,
    /// How much it takes on at once.
    #[command(flatten)]
    pub limits: Limits,
    /// The NATS that tells the other replicas at once of what this one stored: nats://host:4222, or
    /// tls://user:password@host:4222, several with commas between them. Without one, or while it
    /// is away, they look by themselves each second.
    #[arg(
        long,
        env = "CHAT_BUS",
        hide_env_values = true,
        value_name = "URL",
        value_parser = redacted::<BusUrl>()
    )]
    pub bus: Option<BusUrl>,
    /// A file that holds it, and nothing else: for orchestrators that hand out secrets as files.
    #[arg(
        long,
        env = "CHAT_BUS_FILE",
        value_name = "FILE",
        conflicts_with = "bus",
        value_parser = in_file::<BusUrl>
    )]
    pub bus_file: Option<BusUrl>,
}

impl Ask {
    /// Asks, prints the answer or the failure, and says with which status the process ends.
    pub async fn run(self) -> ExitCode {
        match self {
            Self::Ready(asking) => asking.run(ready::ready(&asking)).await,
            Self::List(args) => args.asking.run(chats::list(&args)).await,
            Self::Create(args) => args.asking.clone().run(chats::create(args)).await,
            Self::Send(args) => args.asking.clone().run(send::send(args)).await,
            Self::Tail(args) => args.asking.clone().run(tail::tail(args)).await,
            Self::Import(args) => args.asking.clone().run(import::import(args)).await,
        }
    }
}

impl ServeArgs {
    /// The bus, if there is one.
    pub fn bus(&self) -> Option<&BusUrl> {
        self.bus.as_ref().or(self.bus_file.as_ref())
    }

    /// What the service needs of it.
    ///
    /// # Errors
    /// There is no token where there should be one.
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

/// The gate's modes by name: the gate itself knows of no command line.
fn mode() -> impl TypedValueParser<Value = Mode> {
    let head = PossibleValue::new("head").help("The schema is at head");
    let required = PossibleValue::new("required")
        .help("It holds the oldest revision that this build can run on");
    PossibleValuesParser::new([head, required]).map(|name| match name.as_str() {
        "required" => Mode::Required,
        _ => Mode::Head,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_has_two_modes() {
        let parse = |gate: &[&str]| {
            let line = ["chat", "serve", "--database-url", "sqlite:x.db"];
            let cli = Cli::try_parse_from(line.iter().chain(gate))?;
            let Command::Serve(args) = cli.command else { panic!("it is serve") };
            Ok::<_, clap::Error>(args.config().unwrap().gate)
        };
        assert_eq!(parse(&[]).unwrap(), Mode::Head);
        assert_eq!(parse(&["--gate", "head"]).unwrap(), Mode::Head);
        assert_eq!(parse(&["--gate", "required"]).unwrap(), Mode::Required);
        assert!(parse(&["--gate", "none"]).unwrap_err().to_string().contains("head, required"));
    }
}
