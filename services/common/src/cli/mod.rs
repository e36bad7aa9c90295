//! What the commands share that ask a service: the connection, results as words or as JSON, and
//! what is said when there is none.

mod database;
mod failure;
mod json;
mod output;
mod unrepeated;

use std::time::Duration;

use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};

use crate::{
    access::Bearer,
    tls::{ClientFiles, Connector},
};

pub use database::DatabaseArgs;
pub use failure::{Failure, code_name};
pub use json::{from_json, json};
pub use output::Output;
pub use unrepeated::{in_file, unrepeated};

/// Exit status 3: what was asked about was seen, and is not so.
pub const NOT_SO: u8 = 3;

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

/// Reads where a service is, from a flag.
///
/// # Errors
/// It is no URL that can be called.
pub fn service_url(url: &str) -> Result<Uri, String> {
    const EXAMPLE: &str = "as in http://host:50051";
    let uri: Uri = url.parse().map_err(|error| format!("{error}: {EXAMPLE}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        Some(other) => Err(format!("{other}:// is not understood: {EXAMPLE}, or https://")),
        None => Err(format!("no scheme: {EXAMPLE}")),
    }
}

/// `12ms`, `1m 3s 400ms`: no more digits than anyone reads.
pub fn rounded(duration: Duration) -> String {
    match u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) {
        0 => "<1ms".into(),
        millis => humantime::format_duration(Duration::from_millis(millis)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme() {
        assert!(service_url("http://schema:50051").is_ok());
        assert!(service_url("https://schema").is_ok());
        for bad in ["schema:50051", "ftp://schema", "http://", ""] {
            assert!(service_url(bad).unwrap_err().contains("as in http://"), "{bad}");
        }
    }
}
