//! The flags of a gate, which `serve` and `proxy` share.

use std::{io, net::SocketAddr, time::Duration};

use clap::{
    Args,
    builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser},
};
use cli::OptionalDatabaseArgs;
use gate::Mode;
use sidecar::GateConfig;
use tokio::net::TcpListener;
use transport::{ListenerTls, announce, bind};

const MAX_STALENESS: Duration = Duration::from_secs(60 * 60);
const NOTICE: Duration = Duration::from_secs(5);

cli::listen_args!("GATE", "127.0.0.1:50053");
cli::client_args!(SchemaClientArgs, "schema", "SCHEMA", "schema-", "http://127.0.0.1:50051");

#[derive(Clone, Debug, Args)]
pub struct GateArgs {
    /// Register as a live dependent by this name: the gated service's
    #[arg(
        long,
        env = "GATE_SERVICE",
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new()
    )]
    service: String,
    /// Oldest revision that the service can run on
    #[arg(
        long,
        env = "GATE_REQUIRES",
        value_name = "REVISION",
        value_parser = NonEmptyStringValueParser::new()
    )]
    requires: String,
    /// Newest revision that existed when the service was built [default: the required one]
    #[arg(
        long,
        env = "GATE_BUILT_WITH",
        value_name = "REVISION",
        value_parser = NonEmptyStringValueParser::new()
    )]
    built_with: Option<String>,
    /// What the gate needs to open. Once it is open, pending revisions do not close it
    #[arg(
        long,
        env = "GATE_MODE",
        value_name = "MODE",
        default_value = "head",
        value_parser = mode()
    )]
    mode: Mode,
    /// How long an open gate stays open while the schema service does not answer
    #[arg(
        long,
        env = "GATE_MAX_STALENESS",
        value_name = "DURATION",
        default_value_t = MAX_STALENESS.into()
    )]
    max_staleness: humantime::Duration,
    /// How long to stay open after SIGTERM, for probes to see that the gate is closing; not at all
    /// where nothing probes
    #[arg(long, env = "GATE_NOTICE", value_name = "DURATION", default_value_t = NOTICE.into())]
    notice: humantime::Duration,
    /// How many probes must see it before requests are refused, if the notice lasts
    #[arg(long, env = "GATE_PROBE_FAILURES", value_name = "NUMBER", default_value_t = 1)]
    probe_failures: u32,
    #[command(flatten)]
    database: OptionalDatabaseArgs,
    #[command(flatten)]
    schema: SchemaClientArgs,
}

impl GateArgs {
    /// Checks the flags and the files that they name.
    pub fn config(&self) -> Result<GateConfig, Box<dyn std::error::Error>> {
        let schema_tls = self.schema.files();
        schema_tls.check()?;
        if let Some(built_with) = &self.built_with
            && *built_with < self.requires
        {
            return Err(format!(
                "--built-with {built_with} is older than --requires {}: a build can require no \
                 revision that it does not know",
                self.requires
            )
            .into());
        }
        Ok(GateConfig {
            service: self.service.clone(),
            requires: self.requires.clone(),
            built_with: self.built_with.clone().unwrap_or_else(|| self.requires.clone()),
            mode: self.mode,
            max_staleness: self.max_staleness.into(),
            schema_url: self.schema.url.clone(),
            schema_tls,
            schema_token: self.schema.bearer()?,
            database: self.database.url().cloned(),
            notice: self.notice.into(),
            probe_failures: self.probe_failures,
        })
    }
}

impl ListenArgs {
    /// Reads the certificates, binds the address, and announces it.
    pub async fn bind(&self) -> io::Result<(TcpListener, Option<ListenerTls>)> {
        let tls = self.tls.files().map(ListenerTls::load).transpose().map_err(io::Error::other)?;
        Ok((bind_and_announce("gate", self.listen).await?, tls))
    }
}

pub async fn bind_and_announce(name: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let listener = bind(address).await?;
    announce(name, &listener)?;
    Ok(listener)
}

fn mode() -> impl TypedValueParser<Value = Mode> {
    let head = PossibleValue::new("head").help("The schema is at head");
    let required = PossibleValue::new("required").help("The required revision is applied");
    PossibleValuesParser::new([head, required]).map(|name| match name.as_str() {
        "required" => Mode::Required,
        _ => Mode::Head,
    })
}
