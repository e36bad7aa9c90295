//! Envoy's external authorization: allow while the gate is open, and deny with the reason.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use gate::Gate;
use http::StatusCode;
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::{
    envoy::{
        CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption,
        HttpStatus, OkHttpResponse, RpcStatus, authorization_server::Authorization,
        check_response::HttpResponse,
    },
    problem::{self, PROBLEM_JSON},
};

#[derive(Debug)]
pub(crate) struct ExtAuthz {
    pub(crate) gate: Gate,
}

#[tonic::async_trait]
impl Authorization for ExtAuthz {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let response = match self.gate.admit().await {
            Ok(()) => allowed(),
            Err(status) => denied(&status, is_grpc(request.get_ref())),
        };
        Ok(Response::new(response))
    }
}

fn is_grpc(request: &CheckRequest) -> bool {
    let request = request.attributes.as_ref().and_then(|attributes| attributes.request.as_ref());
    let content_type = request
        .and_then(|request| request.http.as_ref())
        .and_then(|http| http.headers.get("content-type"));
    content_type.is_some_and(|value| value.starts_with("application/grpc"))
}

fn allowed() -> CheckResponse {
    CheckResponse {
        status: Some(RpcStatus::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {})),
    }
}

/// Envoy answers a gRPC call with the status that stands for 503, UNAVAILABLE, whose message is the
/// body, and adds the headers.
fn denied(status: &Status, is_grpc: bool) -> CheckResponse {
    let http = StatusCode::SERVICE_UNAVAILABLE;
    let (headers, body) = if is_grpc {
        let details = STANDARD_NO_PAD.encode(status.details());
        (vec![header("grpc-status-details-bin", details)], status.message().to_owned())
    } else {
        let headers = vec![
            header("content-type", PROBLEM_JSON),
            header("cache-control", "no-store"),
            header("retry-after", "1"),
        ];
        (headers, problem::details(status, http).to_string())
    };
    let status_of_details = RpcStatus::decode(status.details()).unwrap_or_default();
    CheckResponse {
        status: Some(RpcStatus {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: status_of_details.details,
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: http.as_u16().into() }),
            headers,
            body,
        })),
    }
}

fn header(key: &str, value: impl Into<String>) -> HeaderValueOption {
    HeaderValueOption { header: Some(HeaderValue { key: key.into(), value: value.into() }) }
}
