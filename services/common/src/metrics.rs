//! Metrics for Prometheus: a registry behind `GET /metrics`, on a port of its own, so that what
//! scrapes need not speak gRPC nor pass a gate.

use std::{convert::Infallible, future::Future, sync::Arc};

use http::{HeaderValue, Request, Response, StatusCode, header};
use prometheus_client::{encoding::text, registry::Registry};
use tokio::net::TcpListener;
use tonic::{
    body::Body,
    service::{AxumBody, Routes},
    transport::{Server, server::TcpIncoming},
};
use tower::service_fn;

/// Says that the body is OpenMetrics, which Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the registry until `stopping`.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    stopping: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let registry = Arc::new(registry);
    let scrape = service_fn(move |_: Request<AxumBody>| {
        let answer = scraped(&registry);
        async move { Ok::<_, Infallible>(answer) }
    });
    let router = Routes::default().into_axum_router().route_service("/metrics", scrape);
    Server::builder()
        .accept_http1(true)
        .add_routes(Routes::from(router))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stopping)
        .await
}

fn scraped(registry: &Registry) -> Response<Body> {
    let mut text = String::new();
    match text::encode(&mut text, registry) {
        Ok(()) => {
            let mut answer = Response::new(Body::new(text));
            answer
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
            answer
        }
        Err(error) => {
            tracing::error!("metrics cannot be written: {error}");
            let mut answer = Response::new(Body::default());
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    async fn get(path: &str, listener: TcpListener, registry: Registry) -> String {
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, registry, async { drop(stopped.await) }));
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        drop(stop);
        serving.await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn a_scrape_reads_the_registry_over_http_1() {
        let mut registry = Registry::default();
        let calls = Counter::<u64>::default();
        registry.register("calls", "Calls", calls.clone());
        calls.inc();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answer = get("/metrics", listener, registry).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("content-type: application/openmetrics-text"), "{answer}");
        assert!(answer.contains("calls_total 1\n"), "{answer}");
    }

    #[tokio::test]
    async fn anything_else_is_not_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answer = get("/", listener, Registry::default()).await;
        assert!(!answer.contains("# EOF"), "{answer}");
    }
}
