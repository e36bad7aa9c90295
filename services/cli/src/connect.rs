use std::time::Duration;

use access::Bearer;
use tls::{ClientFiles, Connector};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};

use crate::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A migration may send nothing for hours: pings tell whether its server still lives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that presents the caller's token with each call.
pub type Connection = InterceptedService<Channel, Bearer>;

/// Connects to a service, such as `schema`.
///
/// # Errors
/// The server cannot be reached, or its certificate is not trusted.
pub async fn connect(
    service: &'static str,
    url: &Uri,
    tls: ClientFiles,
    bearer: Bearer,
) -> Result<Connection, Failure> {
    let endpoint = Endpoint::from(url.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    let unreachable = |source| Failure::Unreachable { service, url: url.clone(), source };
    let channel =
        endpoint.connect_with_connector(Connector::new(tls)).await.map_err(unreachable)?;
    Ok(InterceptedService::new(channel, bearer))
}
