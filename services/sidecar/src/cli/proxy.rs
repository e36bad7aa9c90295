//! `gate proxy`.

use std::{net::SocketAddr, num::NonZeroU32};

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use cli::redacted;
use sidecar::{ProxyConfig, Upstream, UpstreamProtocol};

use super::gate_args::{GateArgs, ListenArgs, bind_and_announce};

const MAX_REQUESTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4_095);

#[derive(Clone, Debug, Args)]
pub struct ProxyArgs {
    /// Pass requests to this address: http://HOST:PORT
    #[arg(long, env = "GATE_UPSTREAM", value_name = "URL", value_parser = redacted::<Upstream>())]
    upstream: Upstream,
    /// Version of HTTP that the upstream speaks
    #[arg(
        long,
        env = "GATE_UPSTREAM_PROTOCOL",
        value_name = "PROTOCOL",
        default_value = "same",
        value_parser = protocol()
    )]
    upstream_protocol: UpstreamProtocol,
    /// Number of requests and upgraded connections that may be in progress; further ones are refused
    #[arg(long, env = "GATE_MAX_REQUESTS", value_name = "NUMBER", default_value_t = MAX_REQUESTS)]
    max_requests: NonZeroU32,
    /// Serve on this address what `gate serve` serves: /readyz, /livez, /metrics, gRPC health
    #[arg(long, env = "GATE_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    listener: ListenArgs,
}

impl ProxyArgs {
    pub(super) async fn run(self) -> Result<(), Box<dyn std::error::Error>> {
        let stopping = transport::shutdown_signal()?;
        let config = ProxyConfig {
            upstream: self.upstream,
            protocol: self.upstream_protocol,
            max_requests: self.max_requests,
        };
        let gate = self.gate.config()?;
        let (listener, tls) = self.listener.bind().await?;
        let admin = match self.admin_listen {
            Some(address) => Some(bind_and_announce("gate-admin", address).await?),
            None => None,
        };
        Ok(sidecar::proxy(gate, config, listener, admin, tls, stopping).await?)
    }
}

fn protocol() -> impl TypedValueParser<Value = UpstreamProtocol> {
    let same = PossibleValue::new("same").help("The version of each request");
    let http1 = PossibleValue::new("http1").help("HTTP/1.1, which cannot carry gRPC");
    let http2 = PossibleValue::new("http2").help("HTTP/2, which cannot carry WebSockets");
    PossibleValuesParser::new([same, http1, http2]).map(|name| match name.as_str() {
        "http1" => UpstreamProtocol::Http1,
        "http2" => UpstreamProtocol::Http2,
        _ => UpstreamProtocol::Same,
    })
}
