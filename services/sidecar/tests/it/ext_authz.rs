//! `gate serve` as Envoy asks it.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use prost::Message as _;
use testing::{Backend, apply, both, channel};
use tonic_types::pb::Status;

use self::envoy::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, attribute_context,
    authorization_client::AuthorizationClient, check_response::HttpResponse,
};
use crate::world::{World, until_ok, until_refused};

mod envoy {
    #![expect(clippy::allow_attributes, reason = "generated")]
    tonic::include_proto!("envoy.service.auth.v3");
}

async fn check(address: std::net::SocketAddr, content_type: &str) -> CheckResponse {
    let headers = HashMap::from([("content-type".to_owned(), content_type.to_owned())]);
    let http = Some(attribute_context::HttpRequest { headers });
    let request = Some(attribute_context::Request { http });
    let request = CheckRequest { attributes: Some(AttributeContext { request }) };
    AuthorizationClient::new(channel(address)).check(request).await.unwrap().into_inner()
}

fn denied(response: CheckResponse) -> (DeniedHttpResponse, HashMap<String, String>) {
    assert_eq!(response.status.as_ref().unwrap().code, tonic::Code::Unavailable as i32);
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else {
        panic!("not denied: {response:?}")
    };
    assert_eq!(denied.status.unwrap().code, 503);
    let headers = denied.headers.iter().flat_map(|option| &option.header);
    let headers = headers.map(|header| (header.key.clone(), header.value.clone())).collect();
    (denied, headers)
}

#[apply(both!)]
async fn envoy_is_denied_with_the_reason_until_the_schema_is_at_head(backend: Backend) {
    let world = World::empty(backend).await;
    let (_gate, address) = world.serve(&[]).await;
    until_refused(address, "/readyz", "SCHEMA_NOT_AT_HEAD").await;

    let (response, headers) = denied(check(address, "application/json").await);
    let problem: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(problem["reason"], "SCHEMA_NOT_AT_HEAD");
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["retry-after"], "1");

    let (response, headers) = denied(check(address, "application/grpc+proto").await);
    assert!(response.body.contains("schema upgrade"), "{}", response.body);
    let details = STANDARD_NO_PAD.decode(&headers["grpc-status-details-bin"]).unwrap();
    let status = Status::decode(&*details).unwrap();
    assert_eq!(status.code, tonic::Code::Unavailable as i32);
    assert_eq!(status.details.len(), 2, "ErrorInfo and RetryInfo");

    world.upgrade("").await;
    until_ok(address, "/readyz").await;
    let response = check(address, "application/json").await;
    assert_eq!(response.status.unwrap().code, 0);
    assert!(matches!(response.http_response, Some(HttpResponse::OkResponse(_))));
}
