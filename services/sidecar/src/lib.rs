//! The gate for any service, in any language, behind HTTP or gRPC: `gate serve` answers probes and
//! Envoy beside the service, and `gate proxy` passes calls to it while the gate is open.

mod config;
mod ext_authz;
mod problem;
mod proxy;
mod readiness;
mod serve;

pub use config::GateConfig;
pub use proxy::{ProxyConfig, Upstream, UpstreamProtocol, proxy};
pub use serve::serve;

/// The part of Envoy's contract that the sidecar serves.
mod envoy {
    #![expect(clippy::allow_attributes, reason = "generated")]
    tonic::include_proto!("envoy.service.auth.v3");
}
