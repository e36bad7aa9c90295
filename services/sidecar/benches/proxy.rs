//! `cargo bench -p sidecar`: the same calls to one upstream, directly and through `gate proxy`. It
//! prints latencies of one caller and the rate of many, of HTTP/1.1 and of gRPC.
//!
//! Needs the `schema` binary beside `gate`: `cargo build --release --bin schema`.
#![expect(clippy::expect_used, reason = "a benchmark that fails ends")]

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use testing::{Backend, Process, channel, eventually};
use tonic::{service::Routes, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const CALLS: usize = 5_000;
const CALLERS: usize = 32;
const RATE_TIME: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;

#[derive(Clone)]
enum Caller {
    Http(Client<HttpConnector, Full<Bytes>>, String),
    Grpc(HealthClient<Channel>),
}

impl Caller {
    fn http(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self::Http(client, format!("http://{address}/livez"))
    }

    fn grpc(address: SocketAddr) -> Self {
        Self::Grpc(HealthClient::new(channel(address)))
    }

    async fn call(&mut self) -> Option<()> {
        match self {
            Self::Http(client, url) => {
                let request = Request::get(&*url).body(Full::default()).ok()?;
                let response = client.request(request).await.ok()?;
                let is_ok = response.status().is_success();
                response.into_body().collect().await.ok()?;
                is_ok.then_some(())
            }
            Self::Grpc(client) => client.check(HealthCheckRequest::default()).await.ok().map(drop),
        }
    }
}

#[tokio::main]
async fn main() {
    let database = Backend::Sqlite.at_head().await;
    let schema = Path::new(env!("CARGO_BIN_EXE_gate")).with_file_name("schema");
    let env = [("DATABASE_URL", database.url())];
    let mut schema = Process::start(schema, &["serve"], &env);
    let url = format!("http://{}", schema.address("schema").await);

    // An upstream that does next to nothing, so that all the rest is the proxy's.
    let listener = transport::bind(([127, 0, 0, 1], 0).into()).await.expect("a port");
    let upstream = listener.local_addr().expect("an address");
    let (_reporter, health) = tonic_health::server::health_reporter();
    let live = tower::service_fn(|_: Request<tonic::service::AxumBody>| async {
        let body = tonic::body::Body::new(Full::new(Bytes::from_static(b"ok")));
        Ok::<_, std::convert::Infallible>(http::Response::new(body))
    });
    let router = Routes::new(health).into_axum_router().fallback_service(live);
    let serving =
        transport::serve_http(listener, None, Routes::from(router), std::future::pending());
    tokio::spawn(serving);

    let to = format!("http://{upstream}");
    let arguments = ["proxy", "--service", "bench", "--requires", "0001", "--upstream", &to];
    let env = [("SCHEMA_URL", &*url), ("GATE_LISTEN", "127.0.0.1:0")];
    let mut gate = Process::start(env!("CARGO_BIN_EXE_gate"), &arguments, &env);
    let proxy = gate.address("gate").await;
    let mut first = Caller::http(proxy);
    eventually("the gate is open", async || first.call().await).await;

    for (name, caller) in [
        ("HTTP/1.1", Caller::http as fn(SocketAddr) -> Caller),
        ("gRPC", Caller::grpc as fn(SocketAddr) -> Caller),
    ] {
        for _ in 0..ROUNDS {
            let (direct, proxied) = (caller(upstream), caller(proxy));
            let (d50, d99) = latency(direct.clone()).await;
            let (p50, p99) = latency(proxied.clone()).await;
            let (direct, proxied) = (rate(&direct).await, rate(&proxied).await);
            println!(
                "{name}: p50 {d50:?} direct, {p50:?} proxied (+{:?}); p99 {d99:?}, {p99:?}; \
                 rate {direct:.0}/s direct, {proxied:.0}/s proxied ({:.2})",
                p50.saturating_sub(d50),
                proxied / direct,
            );
        }
    }
}

async fn latency(mut caller: Caller) -> (Duration, Duration) {
    let mut taken = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begin = Instant::now();
        caller.call().await.expect("a call passes");
        taken.push(begin.elapsed());
    }
    taken.sort_unstable();
    let at = |share: usize| taken.get(CALLS * share / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

async fn rate(caller: &Caller) -> f64 {
    let begin = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let mut caller = caller.clone();
        calls.spawn(async move {
            let mut count = 0_u32;
            while begin.elapsed() < RATE_TIME {
                caller.call().await.expect("a call passes");
                count += 1;
            }
            count
        });
    }
    let counts = calls.join_all().await;
    f64::from(counts.into_iter().sum::<u32>()) / begin.elapsed().as_secs_f64()
}
