//! A refusal as HTTP: problem details of RFC 9457, with the reason and metadata of the gRPC error.

use std::time::Duration;

use api::{ERROR_DOMAIN, Reason};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;
use wire::Problem;

pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// A retry after a second is not too early: what opens the gate is pushed to it.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether a caller reads its errors as gRPC statuses.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The answer to a refused call, in the form that the caller reads.
pub(crate) fn response(status: Status, http: StatusCode, is_grpc: bool) -> Response<Body> {
    if is_grpc {
        return status.into_http();
    }
    let body = details(&status, http);
    json_response(http, PROBLEM_JSON, &body)
}

/// The problem details of a status.
pub(crate) fn details(status: &Status, http: StatusCode) -> Value {
    let (reason, metadata) = status
        .get_details_error_info()
        .map(|info| (info.reason, info.metadata))
        .unwrap_or_default();
    json!({
        "type": "about:blank",
        "title": http.canonical_reason().unwrap_or_default(),
        "status": http.as_u16(),
        "detail": status.message(),
        "reason": reason,
        "domain": ERROR_DOMAIN,
        "metadata": metadata,
    })
}

/// A response that is never cached; one that reports an unavailable service says when to retry.
pub(crate) fn json_response(
    http: StatusCode,
    content_type: &'static str,
    body: &Value,
) -> Response<Body> {
    let body = http_body_util::Full::new(Bytes::from(body.to_string()));
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = http;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(http, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    }
    response
}

/// The refusal of a call that the upstream did not answer.
pub(crate) fn upstream_unreachable(upstream: &str, error: &str) -> Status {
    let message = format!("upstream {upstream} does not answer: {error}");
    Problem::new(Code::Unavailable, Reason::UpstreamUnreachable, message)
        .with("upstream", upstream)
        .retry_after(RETRY_AFTER)
        .into()
}

/// The refusal of a call beyond the concurrency limit.
pub(crate) fn too_many(limit: u32) -> Status {
    let message = format!("{limit} requests are in progress, which is the limit; try again");
    Problem::new(Code::ResourceExhausted, Reason::TooManyAtOnce, message)
        .with("what", "requests")
        .retry_after(RETRY_AFTER)
        .into()
}

/// The answer to a path or a gRPC method that does not exist.
pub(crate) fn unknown_path(path: &str, is_grpc: bool) -> Response<Body> {
    if is_grpc {
        let message = format!("no such method: {path}");
        let problem = Problem::new(Code::Unimplemented, Reason::MethodUnknown, message);
        return Status::from(problem).into_http();
    }
    empty(StatusCode::NOT_FOUND)
}

/// The answer to a request with another method than these.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn empty(http: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = http;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_details_have_the_reason_and_metadata_of_the_status() {
        let status = Problem::new(Code::Unavailable, Reason::SchemaNotAtHead, "schema is at 0001")
            .with("required", "0002")
            .into();
        assert_eq!(
            details(&status, StatusCode::SERVICE_UNAVAILABLE),
            json!({
                "type": "about:blank",
                "title": "Service Unavailable",
                "status": 503,
                "detail": "schema is at 0001",
                "reason": "SCHEMA_NOT_AT_HEAD",
                "domain": "schemagate",
                "metadata": {"required": "0002"},
            })
        );
        let response = response(status, StatusCode::SERVICE_UNAVAILABLE, false);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    }
}
