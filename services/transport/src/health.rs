//! The health check by which a service asks itself, `schema health` or `chat health`: a container's
//! probe that needs neither a shell nor another program in the image.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tls::Connector;
use tokio::time::timeout;
use tonic::{Status, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use wire::status_message;

/// How long the answer may take: a container's probe has a second, process start included.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Why a server is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// The connection failed.
    #[error("{0} cannot be reached")]
    Unreachable(SocketAddr, #[source] tonic::transport::Error),
    /// The server refused the check.
    #[error("{} ({:?})", status_message(.0), .0.code())]
    Refused(Status),
    /// The server reports another status than SERVING.
    #[error("{}", .0.as_str_name())]
    NotServing(ServingStatus),
    /// The server did not answer in time.
    #[error("no answer within {RESPONSE_TIMEOUT:?}")]
    TimedOut,
}

/// Checks whether the server that listens on `listen` reports SERVING, for half a second at most.
///
/// Over TLS its certificate is not verified: the check stays on this machine and sends nothing
/// secret, and a certificate that expired or was just replaced must not fail it.
///
/// # Errors
/// It does not report SERVING, or not in time.
pub async fn check(listen: SocketAddr, tls: bool, service: &str) -> Result<(), Unhealthy> {
    let request = request_status(reachable(listen), tls, service);
    timeout(RESPONSE_TIMEOUT, request).await.unwrap_or(Err(Unhealthy::TimedOut))
}

async fn request_status(address: SocketAddr, tls: bool, service: &str) -> Result<(), Unhealthy> {
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

/// The loopback, for a server that listens on every address.
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
    async fn a_server_reports_its_own_status() {
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
    async fn a_server_that_is_down_or_hangs_is_not_healthy() {
        let (listener, address) = loopback().await;
        let hanging = check(address, false, "").await.unwrap_err();
        assert!(matches!(hanging, Unhealthy::TimedOut), "{hanging:?}");
        drop(listener);
        let down = check(address, false, "").await.unwrap_err();
        assert!(matches!(down, Unhealthy::Unreachable(..)), "{down:?}");
    }
}
