//! What a scrape says of calls that ended, that go on, and that nobody answers.

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

/// A health service, timed.
async fn serving() -> (Rpcs, Channel) {
    let rpcs = Rpcs::new();
    let (_, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder()
        .layer(Timed::by(Some(rpcs.clone())))
        .add_routes(Routes::new(health))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    (rpcs, Endpoint::from_shared(url).unwrap().connect_lazy())
}

fn scraped(rpcs: &Rpcs) -> String {
    let (mut registry, mut text) = (Registry::default(), String::new());
    rpcs.register(&mut registry);
    text::encode(&mut text, &registry).unwrap();
    text
}

/// Waits for a line: a call is counted when its answer has left, which its caller may outrun.
async fn comes(rpcs: &Rpcs, line: &str) {
    for _ in 0..1_000 {
        if scraped(rpcs).lines().any(|told| told == line) {
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
    assert!(!scraped(&rpcs).contains("method="), "what was never called is not told");
    let mut client = HealthClient::new(channel);
    let of = |service: &str| HealthCheckRequest { service: service.into() };
    for _ in 0..2 {
        client.check(of("")).await.unwrap();
    }
    client.check(of("nobody's")).await.unwrap_err();
    comes(&rpcs, &count("Check", "OK", 2)).await;
    comes(&rpcs, &count("Check", "NOT_FOUND", 1)).await;

    let under_way = "rpc_under_way{service=\"grpc.health.v1.Health\",method=\"Watch\"}";
    let mut watch = client.watch(of("")).await.unwrap().into_inner();
    watch.message().await.unwrap();
    comes(&rpcs, &format!("{under_way} 1")).await;
    assert!(!scraped(&rpcs).contains("method=\"Watch\",code"), "it goes on");
    drop(watch);
    comes(&rpcs, &format!("{under_way} 0")).await;
    comes(&rpcs, &count("Watch", "CANCELLED", 1)).await;
}

#[tokio::test]
async fn a_path_that_a_client_made_up_is_no_label() {
    let (rpcs, channel) = serving().await;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
    let path = "/a.secret/Token".parse().unwrap();
    let request = tonic::Request::new(HealthCheckRequest::default());
    grpc.unary(request, path, codec).await.unwrap_err();
    comes(&rpcs, &count(OTHER, "UNIMPLEMENTED", 1)).await;
    assert!(!scraped(&rpcs).contains("secret"));
}

#[test]
fn every_rpc_of_the_contract_is_known() {
    let known = Rpcs::new().methods;
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
