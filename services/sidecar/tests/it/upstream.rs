//! A service that knows nothing of the gate: it echoes requests, upgrades, and has a gRPC service.

use std::{convert::Infallible, future::pending, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_stream::StreamExt as _;
use tonic::{
    body::Body,
    service::{AxumBody, Routes},
};
use tonic_health::server::HealthReporter;
use tower::service_fn;

pub struct Upstream {
    pub address: SocketAddr,
    /// Of its gRPC service, grpc.health.v1: a unary method and a stream.
    pub health: HealthReporter,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = transport::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, service) = tonic_health::server::health_reporter();
        let paths = service_fn(|request: Request<AxumBody>| async {
            Ok::<_, Infallible>(answer(request).await)
        });
        let router = Routes::new(service).into_axum_router().fallback_service(paths);
        tokio::spawn(transport::serve_http(listener, None, Routes::from(router), pending()));
        Self { address, health }
    }
}

async fn answer(mut request: Request<AxumBody>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match &*path {
        "/upgrade" => {
            let upgrading = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrading.await.expect("upgraded"));
                let mut buffer = [0; 64];
                while let Ok(read @ 1..) = io.read(&mut buffer).await {
                    io.write_all(&buffer[..read].to_ascii_uppercase()).await.unwrap();
                }
            });
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, "upgrade".parse().unwrap());
            headers.insert(header::UPGRADE, "shout".parse().unwrap());
            response
        }
        "/never" => pending().await,
        "/events" => {
            let first = tokio_stream::once(Ok::<_, Infallible>(Bytes::from("data: 1\n\n")));
            let stream = first.chain(tokio_stream::pending());
            let stream = stream.map(|chunk| chunk.map(http_body::Frame::data));
            let mut response = Response::new(Body::new(http_body_util::StreamBody::new(stream)));
            let content_type = "text/event-stream".parse().unwrap();
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            response
        }
        _ => echo(request).await,
    }
}

async fn echo(request: Request<AxumBody>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let headers: serde_json::Map<_, _> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect();
    let echoed = json!({
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(ToString::to_string),
        "version": format!("{:?}", head.version),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut response =
        Response::new(Body::new(http_body_util::Full::new(Bytes::from(echoed.to_string()))));
    response.headers_mut().insert("x-upstream", "echo".parse().unwrap());
    response.headers_mut().insert("keep-alive", "timeout=5".parse().unwrap());
    response
}
