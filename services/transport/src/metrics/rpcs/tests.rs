use std::time::Duration;

use prometheus_client::encoding::text;
use tokio::net::TcpListener;
use tonic::{
    client::Grpc,
    service::Routes,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;

/// A health service with metrics.
async fn serving() -> (RpcMetrics, Channel) {
    let rpcs = RpcMetrics::new();
    let (_, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder()
        .layer(RpcMetricsLayer::new(Some(rpcs.clone())))
        .add_routes(Routes::new(health))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    (rpcs, Endpoint::from_shared(url).unwrap().connect_lazy())
}

fn scraped(rpcs: &RpcMetrics) -> String {
    let (mut registry, mut text) = (Registry::default(), String::new());
    rpcs.register(&mut registry);
    text::encode(&mut text, &registry).unwrap();
    text
}

/// Waits for a line: a call is counted once its response was sent, which its caller may outrun.
async fn eventually_has(rpcs: &RpcMetrics, line: &str) {
    for _ in 0..1_000 {
        if scraped(rpcs).lines().any(|scraped| scraped == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no {line} in:\n{}", scraped(rpcs));
}

fn count(method: &str, code: &str, count: u32) -> String {
    let service = if method == OTHER { OTHER } else { "grpc.health.v1.Health" };
    format!(
        "rpc_duration_seconds_count{{service=\"{service}\",method=\"{method}\",code=\"{code}\"}} {count}"
    )
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code_and_streams_when_they_end() {
    let (rpcs, channel) = serving().await;
    assert!(!scraped(&rpcs).contains("method="), "a method that was never called has no metrics");
    let mut client = HealthClient::new(channel);
    let of = |service: &str| HealthCheckRequest { service: service.into() };
    for _ in 0..2 {
        client.check(of("")).await.unwrap();
    }
    client.check(of("unknown")).await.unwrap_err();
    eventually_has(&rpcs, &count("Check", "OK", 2)).await;
    eventually_has(&rpcs, &count("Check", "NOT_FOUND", 1)).await;

    let under_way = "rpc_under_way{service=\"grpc.health.v1.Health\",method=\"Watch\"}";
    let mut watch = client.watch(of("")).await.unwrap().into_inner();
    watch.message().await.unwrap();
    eventually_has(&rpcs, &format!("{under_way} 1")).await;
    assert!(!scraped(&rpcs).contains("method=\"Watch\",code"), "the stream is open");
    drop(watch);
    eventually_has(&rpcs, &format!("{under_way} 0")).await;
    eventually_has(&rpcs, &count("Watch", "CANCELLED", 1)).await;
}

#[tokio::test]
async fn an_unknown_path_is_not_a_label() {
    let (rpcs, channel) = serving().await;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
    let path = "/a.secret/Token".parse().unwrap();
    let request = tonic::Request::new(HealthCheckRequest::default());
    grpc.unary(request, path, codec).await.unwrap_err();
    eventually_has(&rpcs, &count(OTHER, "UNIMPLEMENTED", 1)).await;
    assert!(!scraped(&rpcs).contains("secret"));
}

#[test]
fn every_method_of_the_contract_has_metrics() {
    let known = RpcMetrics::new().methods;
    for path in [
        "/schema.v1.SchemaService/Watch",
        "/chat.v1.ChatService/ListChats",
        "/gate.v1.ReadinessService/Readiness",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        assert!(known.known.contains_key(path), "{path}");
    }
}
