//! The cost of an open gate: the same call with and without it, below the network. As in tonic's
//! router, each call clones its service first.
//!
//! `bare` does nothing, so that the difference is the gate; `unary` is a whole call of a generated
//! server; `two_cores` calls from two threads, where contention would show.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a broken benchmark ends"
)]

use std::{
    convert::Infallible,
    future::ready,
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use api::gate::v1::readiness_service_server::ReadinessServiceServer;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use gate::Gate;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, service_fn};

#[path = "../tests/gate/fake.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod fake;

type Request = http::Request<Body>;

/// A unary request with an empty message, as it comes off the wire.
fn request() -> Request {
    let mut request = Request::new(Body::new(String::from("\0\0\0\0\0")));
    *request.uri_mut() = http::Uri::from_static("/gate.v1.ReadinessService/Readiness");
    request
}

/// Makes one call to its end.
fn call<S>(service: &S)
where
    S: Service<Request> + Clone,
    S::Response: std::fmt::Debug,
    S::Error: std::fmt::Debug,
{
    let answer = service.clone().call(request()).now_or_never();
    black_box(answer.expect("nothing to wait for").expect("an answer"));
}

/// The time that `calls` calls take on each of two threads.
fn on_two_cores<S>(service: &S, calls: u64) -> Duration
where
    S: Service<Request> + Clone + Send,
    S::Response: std::fmt::Debug,
    S::Error: std::fmt::Debug,
{
    let started = Instant::now();
    thread::scope(|threads| {
        for _ in 0..2 {
            let service = service.clone();
            threads.spawn(move || (0..calls).for_each(|_| call(&service)));
        }
    });
    started.elapsed()
}

fn calls(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (gate, _schema) = runtime.block_on(async {
        let schema =
            fake::Served::schema(&fake::FakeSchema::reporting(fake::state_at("0003"))).await;
        let builder = Gate::builder("bench", schema.url.clone()).expect("a URL");
        let gate = builder.requires("0003").build().await;
        tokio::spawn(gate.clone().run(CancellationToken::new()));
        gate.opened().await;
        (gate, schema)
    });

    let bare =
        service_fn(|_: Request| ready(Ok::<_, Infallible>(http::Response::new(Body::empty()))));
    let mut group = criterion.benchmark_group("bare");
    group.bench_function("ungated", |bencher| bencher.iter(|| call(&bare)));
    let gated = gate.guard(bare);
    group.bench_function("gated", |bencher| bencher.iter(|| call(&gated)));
    group.finish();

    let mut group = criterion.benchmark_group("two_cores");
    group.bench_function("ungated", |bencher| {
        bencher.iter_custom(|calls| on_two_cores(&bare, calls))
    });
    group.bench_function("gated", |bencher| {
        bencher.iter_custom(|calls| on_two_cores(&gated, calls))
    });
    group.finish();

    let unary: ReadinessServiceServer<_> = gate.readiness_service();
    let mut group = criterion.benchmark_group("unary");
    group.bench_function("ungated", |bencher| bencher.iter(|| call(&unary)));
    let gated = gate.guard(unary);
    group.bench_function("gated", |bencher| bencher.iter(|| call(&gated)));
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
