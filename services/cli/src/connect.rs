use std::time::Duration;

use access::Bearer;
use tls::{ClientFiles, Connector};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};

use crate::Failure;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a silent server is asked whether it is still there, and how long it may take to say so:
/// a migration may be silent for hours.
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(10)];

/// A connection that says with each call who it is.
pub type Connection = InterceptedService<Channel, Bearer>;

/// Connects to a service, such as `schema`.
///
/// # Errors
/// Nothing listens there, or somebody else does.
pub async fn connect(
    service: &'static str,
    url: &Uri,
    tls: ClientFiles,
    bearer: Bearer,
) -> Result<Connection, Failure> {
    let [interval, timeout] = KEEPALIVE;
    let endpoint = Endpoint::from(url.clone())
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(interval)
        .keep_alive_timeout(timeout);
    let unreachable = |source| Failure::Unreachable { service, url: url.clone(), source };
    let channel =
        endpoint.connect_with_connector(Connector::new(tls)).await.map_err(unreachable)?;
    Ok(InterceptedService::new(channel, bearer))
}
