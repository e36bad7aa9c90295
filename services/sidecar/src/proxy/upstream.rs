//! The service behind the proxy, and the connections to it.

use std::{fmt, str::FromStr, time::Duration};

use http::{
    Request, Response, Uri, Version,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tonic::body::Body;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the keep-alive timeouts of common servers, which would otherwise close a connection
/// just as a request is sent on it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_IDLE_CONNECTIONS: usize = 256;
/// Bytes of a response that wait to be read: of a stream, and of a connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const MAX_BUFFERED_BYTES: usize = 64 * 1024;
const MAX_HEADER_BYTES: u32 = 64 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of the upstream: `http://HOST:PORT`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upstream {
    authority: Authority,
}

/// A URL that is not an upstream's.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}: expected http://HOST:PORT, such as http://127.0.0.1:8000")]
pub struct InvalidUpstream(&'static str);

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(url: &str) -> Result<Self, InvalidUpstream> {
        let uri: Uri = url.parse().map_err(|_| InvalidUpstream("not a URL"))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(InvalidUpstream("the scheme is not http"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(InvalidUpstream("a path is not supported"));
        }
        match uri.authority() {
            Some(authority) if !authority.as_str().contains('@') => {
                Ok(Self { authority: authority.clone() })
            }
            Some(_) => Err(InvalidUpstream("a user and password are not supported")),
            None => Err(InvalidUpstream("no host")),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// The version of HTTP that the upstream speaks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UpstreamProtocol {
    /// The version of each request; HTTP/2 with prior knowledge.
    #[default]
    Same,
    /// HTTP/1.1 for every request. It cannot carry gRPC.
    Http1,
    /// HTTP/2 with prior knowledge for every request. It cannot carry upgrades.
    Http2,
}

impl UpstreamProtocol {
    pub(super) fn version(self, request: Version) -> Version {
        match (self, request) {
            (Self::Http1, _) => Version::HTTP_11,
            (Self::Http2, _) | (Self::Same, Version::HTTP_2) => Version::HTTP_2,
            (Self::Same, _) => Version::HTTP_11,
        }
    }
}

/// Connections to the upstream: a pool for HTTP/1.1, and one for HTTP/2.
#[derive(Clone, Debug)]
pub(super) struct UpstreamClient {
    pub(super) upstream: Upstream,
    pub(super) protocol: UpstreamProtocol,
    http1: Client<HttpConnector, Body>,
    http2: Client<HttpConnector, Body>,
}

impl UpstreamClient {
    pub(super) fn new(upstream: Upstream, protocol: UpstreamProtocol) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .http1_max_buf_size(MAX_BUFFERED_BYTES)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_send_buf_size(MAX_BUFFERED_BYTES)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .http2_keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let http1 = builder.build(connector.clone());
        let http2 = builder.http2_only(true).build(connector);
        Self { upstream, protocol, http1, http2 }
    }

    /// Where a request goes.
    pub(super) fn uri(&self, path: Option<&PathAndQuery>) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.upstream.authority.clone());
        parts.path_and_query =
            Some(path.cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
        // All three parts are there, so that this cannot fail.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// Sends a request by its version, and returns the head of the response.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Error> {
        match request.version() {
            Version::HTTP_2 => self.http2.request(request).await,
            _ => self.http1.request(request).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        let upstream: Upstream = "http://127.0.0.1:8000/".parse().unwrap();
        assert_eq!(upstream.to_string(), "http://127.0.0.1:8000");
        for (url, error) in [
            ("127.0.0.1:8000", "the scheme is not http"),
            ("https://app:8000", "the scheme is not http"),
            ("http://app:8000/api", "a path is not supported"),
            ("http://app:8000?a=b", "a path is not supported"),
            ("http://me:secret@app", "a user and password are not supported"),
            ("", "not a URL"),
        ] {
            assert_eq!(url.parse::<Upstream>().unwrap_err(), InvalidUpstream(error), "{url}");
        }
    }

    #[test]
    fn a_request_keeps_its_version_unless_one_is_set() {
        use UpstreamProtocol::{Http1, Http2, Same};
        for (protocol, request, expected) in [
            (Same, Version::HTTP_11, Version::HTTP_11),
            (Same, Version::HTTP_10, Version::HTTP_11),
            (Same, Version::HTTP_2, Version::HTTP_2),
            (Http1, Version::HTTP_2, Version::HTTP_11),
            (Http2, Version::HTTP_11, Version::HTTP_2),
        ] {
            assert_eq!(protocol.version(request), expected);
        }
    }
}
