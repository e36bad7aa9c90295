//! The headers that a proxy removes and adds.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version,
    header::{
        CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
    },
};
use transport::Peer;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers of one connection, which a proxy does not pass on (RFC 9110, section 7.6.1, and the two
/// for proxies themselves).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the headers of the connection, and those that `Connection` names.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(options)
        .filter_map(|name| name.parse().ok())
        .collect();
    // Without it a gRPC server refuses the call.
    let takes_trailers = headers.get_all(TE).iter().flat_map(options).any(is_trailers);
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// The protocol that a request or response of HTTP/1.1 upgrades to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut options = headers.get_all(CONNECTION).iter().flat_map(options);
    let upgrades = options.any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| upgrades).cloned()
}

/// Passes an upgrade on.
pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Adds where a request came from. What a proxy before this one set is kept.
pub(super) fn set_forwarded(headers: &mut HeaderMap, peer: Peer, host: Option<HeaderValue>) {
    let address = peer.address.ip().to_canonical();
    let forwarded_for = forwarded_for(headers, address);
    if let Ok(value) = HeaderValue::try_from(forwarded_for) {
        headers.insert(FORWARDED_FOR, value);
    }
    let proto = if peer.is_tls { "https" } else { "http" };
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static(proto));
    if let Some(host) = host {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

fn forwarded_for(headers: &HeaderMap, address: IpAddr) -> String {
    let mut hops: Vec<String> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    hops.push(address.to_string());
    hops.join(", ")
}

/// The host that the caller asked for: the authority of HTTP/2, or HTTP/1's `Host`.
pub(super) fn requested_host(headers: &HeaderMap, uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority().and_then(|authority| authority.as_str().parse().ok());
    authority.or_else(|| headers.get(HOST).cloned())
}

/// HTTP/1.1 sends the host as the caller named it; in HTTP/2 the authority is the upstream's.
pub(super) fn set_host(headers: &mut HeaderMap, version: Version, host: Option<HeaderValue>) {
    headers.remove(HOST);
    if version == Version::HTTP_11
        && let Some(host) = host
    {
        headers.insert(HOST, host);
    }
}

fn options(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim)
}

fn is_trailers(option: &str) -> bool {
    option.eq_ignore_ascii_case("trailers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn headers_of_the_connection_are_removed_and_others_stay() {
        let mut removed = headers(&[
            ("connection", "keep-alive, X-Private"),
            ("connection", "upgrade"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("x-private", "1"),
            ("te", "trailers, deflate"),
            ("authorization", "Bearer x"),
        ]);
        assert_eq!(upgrade(&removed).unwrap(), "websocket");
        remove_hop_by_hop(&mut removed);
        assert_eq!(removed, headers(&[("te", "trailers"), ("authorization", "Bearer x")]));
        assert_eq!(upgrade(&removed), None);
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        assert_eq!(upgrade(&headers(&[("upgrade", "websocket")])), None);
        assert_eq!(upgrade(&headers(&[("connection", "upgrade")])), None);
    }

    #[test]
    fn the_callers_address_is_added_to_those_of_earlier_proxies() {
        let peer = Peer { address: "[::ffff:192.0.2.7]:1000".parse().unwrap(), is_tls: false };
        let mut first = HeaderMap::new();
        set_forwarded(&mut first, peer, Some(HeaderValue::from_static("example.org")));
        let expected = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "example.org"),
        ];
        assert_eq!(first, headers(&expected));

        let mut second =
            headers(&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")]);
        set_forwarded(&mut second, peer, None);
        let expected =
            [("x-forwarded-for", "203.0.113.9, 192.0.2.7"), ("x-forwarded-proto", "https")];
        assert_eq!(second, headers(&expected));
    }
}
