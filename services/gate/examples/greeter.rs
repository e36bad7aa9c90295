//! A small tonic service and the lines that gate it.
//!
//! ```text
//! cargo run -p schema -- serve &
//! cargo run -p gate --example greeter &
//! grpcurl -plaintext -import-path services/gate/examples -proto greeter.proto -d '"world"' \
//!     127.0.0.1:50060 example.v1.GreeterService/Greet
//! ```

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use gate::Gate;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, body::Body, server::Grpc, transport::Server};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// Written by hand so that the example needs no build script; yours is generated.
#[derive(Clone)]
struct Greeter;

impl tonic::server::NamedService for Greeter {
    const NAME: &'static str = "example.v1.GreeterService";
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let greet = service_fn(async |name: Request<String>| {
            Ok::<_, Status>(Response::new(format!("Hello, {}!", name.into_inner())))
        });
        let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
        Box::pin(async move { Ok(grpc.unary(greet, request).await) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema_url = std::env::var("SCHEMA_URL").unwrap_or("http://127.0.0.1:50051".into());
    let gate = Gate::builder("greeter", schema_url)?
        .requires("0002")
        .reports(["example.v1.GreeterService"])
        .build()
        .await;
    let stopping = CancellationToken::new();
    let running = tokio::spawn(gate.clone().run(stopping.clone()));

    Server::builder()
        .add_service(gate.guard(Greeter))
        .add_service(gate.health_service())
        .add_service(gate.readiness_service())
        .serve_with_shutdown("127.0.0.1:50060".parse()?, async {
            if tokio::signal::ctrl_c().await.is_ok() {
                gate.shutdown(std::time::Duration::from_secs(5)).await;
            }
        })
        .await?;

    stopping.cancel();
    Ok(running.await?)
}
