//! A service's question to itself, `schema health` or `chat health`: a container's health check
//! that needs no shell and no other program in the image.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::time::timeout;
use tonic::{Status, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use tls::Connector;
use wire::status_message;

/// How long the answer may take: a probe has a second, and its process must start in it too.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a server is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// Nothing listens there, or it speaks something else.
    #[error("{0} cannot be reached")]
    Unreachable(SocketAddr, #[source] tonic::transport::Error),
    /// It refused to say.
    #[error("{} ({:?})", status_message(.0), .0.code())]
    Refused(Status),
    /// It said so.
    #[error("{}", .0.as_str_name())]
    NotServing(ServingStatus),
    /// It said nothing.
    #[error("no answer within {PATIENCE:?}")]
    Silent,
}

/// Asks the server that listens on `listen` whether it serves, for half a second at most.
///
/// Where it speaks TLS, its certificate is not looked at: it is asked on this very machine and told
/// nothing. So a certificate that was just replaced, or a new one that is of no use, fails no check.
///
/// # Errors
/// It does not, or does not say so in time.
pub async fn check(listen: SocketAddr, tls: bool, service: &str) -> Result<(), Unhealthy> {
    timeout(PATIENCE, ask(reachable(listen), tls, service)).await.unwrap_or(Err(Unhealthy::Silent))
}

async fn ask(address: SocketAddr, tls: bool, service: &str) -> Result<(), Unhealthy> {
    let unreachable = |error| Unhealthy::Unreachable(address, error);
    let scheme = if tls { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(unreachable)?;
    let connecting = endpoint.connect_with_connector(Connector::without_certificate_verification());
    let channel = connecting.await.map_err(unreachable)?;
    let request = HealthCheckRequest { service: service.into() };
    let response = HealthClient::new(channel).check(request).await.map_err(Unhealthy::Refused)?;
    match response.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        status => Err(Unhealthy::NotServing(status)),
    }
}

/// A server that listens on every address is asked on the loopback's.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::net::TcpListener;
    use tonic::service::Routes;

    use super::*;
    use crate::{bind, metrics::Exporter, serve};

    async fn loopback() -> (TcpListener, SocketAddr) {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn what_a_server_says_of_itself() {
        let (listener, address) = loopback().await;
        let (reporter, service) = tonic_health::server::health_reporter();
        tokio::spawn(serve(listener, Routes::new(service), Exporter::default(), pending()));
        check(address, false, "").await.unwrap();
        let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        check(everywhere, false, "").await.unwrap();

        reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        assert_eq!(check(address, false, "").await.unwrap_err().to_string(), "NOT_SERVING");
        let unknown = check(address, false, "other").await.unwrap_err();
        assert!(matches!(unknown, Unhealthy::Refused(_)), "{unknown:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_away_or_hangs_is_not_healthy() {
        let (listener, address) = loopback().await;
        let silent = check(address, false, "").await.unwrap_err();
        assert!(matches!(silent, Unhealthy::Silent), "{silent:?}");
        drop(listener);
        let away = check(address, false, "").await.unwrap_err();
        assert!(matches!(away, Unhealthy::Unreachable(..)), "{away:?}");
    }
}
