//! `gate proxy`: what passes, what is refused, and the drain.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use testing::{Backend, DEADLINE, apply, both, channel, eventually, reason};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, health_check_response::ServingStatus as Serving,
        health_client::HealthClient,
    },
};

use crate::{
    http::{client, get, request, send},
    upstream::Upstream,
    world::{World, until_ok, until_refused},
};

#[apply(both!)]
async fn requests_pass_while_the_gate_is_open(backend: Backend) {
    let world = World::empty(backend).await;
    let upstream = Upstream::start().await;
    let (mut gate, address) = world.proxy(upstream.address, &[]).await;
    let refused = until_refused(address, "/work", "SCHEMA_NOT_AT_HEAD").await;
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(!refused.headers.contains_key("x-upstream"));
    let admin = gate.address("gate-admin").await;
    assert_eq!(get(admin, "/readyz").await.status, 503);

    world.upgrade("").await;
    until_ok(admin, "/readyz").await;
    for (is_http2, version) in [(false, "HTTP/1.1"), (true, "HTTP/2.0")] {
        let request = request(address, "POST", "/work?q=1")
            .header("x-own", "kept")
            .header("proxy-authorization", "Basic eA==")
            .body(Full::from("content"))
            .unwrap();
        let answer = send(&client(is_http2), request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["x-upstream"], "echo");
        assert!(!answer.headers.contains_key("keep-alive"));
        let echoed = answer.json();
        assert_eq!(echoed["method"], "POST");
        assert_eq!(echoed["path"].as_str().unwrap().rsplit_once('/').unwrap().1, "work?q=1");
        assert_eq!(echoed["version"], version);
        assert_eq!(echoed["body"], "content");
        let headers = &echoed["headers"];
        assert_eq!(headers["x-own"], "kept");
        assert_eq!(headers["proxy-authorization"], serde_json::Value::Null);
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], address.to_string());
        if !is_http2 {
            assert_eq!(headers["host"], address.to_string());
        }
    }
}

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[apply(both!)]
async fn grpc_calls_and_streams_pass_and_are_refused_as_grpc(backend: Backend) {
    let world = World::empty(backend).await;
    let upstream = Upstream::start().await;
    let (_gate, address) = world.proxy(upstream.address, &[]).await;
    let mut client = HealthClient::new(channel(address));
    let refused = eventually("refused for the schema", async || {
        let refused = client.check(check("")).await.unwrap_err();
        (reason(&refused) == "SCHEMA_NOT_AT_HEAD").then_some(refused)
    })
    .await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(testing::info(&refused, "required"), "0002");
    assert_eq!(testing::retry_delay(&refused), Some(Duration::from_secs(1)));

    world.upgrade("").await;
    eventually("a call passes", async || client.check(check("")).await.ok()).await;
    // An error of the upstream's own comes in trailers.
    assert_eq!(client.check(check("unknown")).await.unwrap_err().code(), Code::NotFound);
    let mut states = client.watch(check("")).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().status(), Serving::Serving);
    upstream.health.set_service_status("", ServingStatus::NotServing).await;
    assert_eq!(states.message().await.unwrap().unwrap().status(), Serving::NotServing);

    // A stream that goes on ends with the reason some seconds after the gate has closed.
    testing::downgrade(world.address, "base").await.unwrap();
    let ended = tokio::time::timeout(DEADLINE, states.message()).await.expect("the stream ends");
    let ended = ended.unwrap_err();
    assert_eq!((ended.code(), &*reason(&ended)), (Code::Unavailable, "SCHEMA_NOT_AT_HEAD"));
}

/// Upgrades a connection of HTTP/1.1.
async fn upgrade(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /upgrade HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("upgrade: shout") && head.contains("connection: upgrade"), "{head}");
    socket
}

#[apply(both!)]
async fn an_upgraded_connection_carries_bytes_in_both_directions(backend: Backend) {
    let world = World::at_head(backend).await;
    let upstream = Upstream::start().await;
    let (mut gate, address) = world.proxy(upstream.address, &["--max-requests", "1"]).await;
    let admin = gate.address("gate-admin").await;
    until_ok(admin, "/readyz").await;
    let mut socket = upgrade(address).await;
    for word in ["hello", "again"] {
        socket.write_all(word.as_bytes()).await.unwrap();
        let mut answer = [0; 5];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, *word.to_ascii_uppercase().as_bytes());
    }
    // It counts as a request in progress.
    until_refused(address, "/work", "TOO_MANY_AT_ONCE").await;
    drop(socket);
    until_ok(address, "/work").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_a_bad_gateway() {
    let world = World::at_head(Backend::Sqlite).await;
    let closed = transport::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let nothing = closed.local_addr().unwrap();
    drop(closed);
    let (mut gate, address) = world.proxy(nothing, &[]).await;
    until_ok(gate.address("gate-admin").await, "/readyz").await;
    let answer = get(address, "/work").await;
    assert_eq!((answer.status, &answer.json()["status"]), (502, &serde_json::json!(502)));
    assert_eq!(answer.json()["reason"], "UPSTREAM_UNREACHABLE");
    assert!(answer.body.contains(&nothing.to_string()), "{}", answer.body);
    let refused = HealthClient::new(channel(address)).check(check("")).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "UPSTREAM_UNREACHABLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_huge_head_or_for_a_tunnel_is_refused() {
    let world = World::at_head(Backend::Sqlite).await;
    let upstream = Upstream::start().await;
    let (mut gate, address) = world.proxy(upstream.address, &[]).await;
    until_ok(gate.address("gate-admin").await, "/readyz").await;
    let huge = request(address, "GET", "/work").header("x-huge", "x".repeat(100_000));
    // The connection may be closed before the client has sent all of it.
    if let Ok(answer) = client(false).request(huge.body(Full::default()).unwrap()).await {
        assert_eq!(answer.status(), 431);
    }

    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"CONNECT other:22 HTTP/1.1\r\nhost: other:22\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 405");
}

#[apply(both!)]
async fn a_drain_finishes_requests_and_ends_streams(backend: Backend) {
    let world = World::at_head(backend).await;
    let upstream = Upstream::start().await;
    let (mut gate, address) = world.proxy(upstream.address, &["--notice", "20s"]).await;
    let admin = gate.address("gate-admin").await;
    until_ok(admin, "/readyz").await;
    let client = client(false);
    let events = request(address, "GET", "/events").body(Full::<Bytes>::default()).unwrap();
    let mut events = client.request(events).await.unwrap().into_body();
    assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
    let mut socket = upgrade(address).await;

    gate.send_sigterm();
    // Within the notice requests pass; a probe that has read it ends the notice.
    assert_eq!(get(address, "/work").await.status, 200);
    until_refused(admin, "/readyz", "SHUTTING_DOWN").await;
    // The stream is broken off in the drain, as is the upgraded connection.
    assert!(events.frame().await.is_none_or(|frame| frame.is_err()));
    assert!(matches!(socket.read(&mut [0]).await, Ok(0) | Err(_)));
    assert!(gate.ended().await.success());
    world.until_deregistered().await;
}
