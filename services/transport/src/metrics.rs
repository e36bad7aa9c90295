//! Metrics for Prometheus: a registry behind `GET /metrics`, on a listener of its own, so that a
//! scrape needs neither gRPC nor an open gate; and the durations of rpcs.

mod rpcs;

use std::{convert::Infallible, fmt, future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use prometheus_client::encoding::text;
use tokio::net::TcpListener;
use tonic::{
    body::Body,
    service::{AxumBody, Routes},
    transport::Server,
};
use tower::service_fn;

use crate::{
    connections::{self, HTTP1_PREFACE},
    tls::{self, ListenerTls, Purpose},
};

pub use prometheus_client::registry::Registry;
pub use rpcs::{RpcMetrics, RpcMetricsLayer};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics that a scrape returns, and what refreshes them.
#[derive(Default)]
pub struct Exporter {
    /// The metrics.
    pub registry: Registry,
    refresh: Option<Refresh>,
}

type Refresh = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl Exporter {
    /// Awaits `refresh` before each scrape, for values that are read rather than counted.
    #[must_use]
    pub fn refreshed_by<F, Fut>(self, refresh: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self { refresh: Some(Box::new(move || Box::pin(refresh()))), ..self }
    }

    /// The answer to one scrape, for a server that serves metrics beside other paths.
    pub async fn scrape(&self) -> Response<Body> {
        if let Some(refresh) = &self.refresh {
            refresh().await;
        }
        encode(&self.registry)
    }
}

impl From<Registry> for Exporter {
    fn from(registry: Registry) -> Self {
        Self { registry, refresh: None }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Serves scrapes until `shutdown`.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ListenerTls>,
    exporter: impl Into<Exporter>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let exporter = Arc::new(exporter.into());
    let scrape = service_fn(move |_: Request<AxumBody>| {
        let exporter = Arc::clone(&exporter);
        async move { Ok::<_, Infallible>(exporter.scrape().await) }
    });
    let router = Routes::default().into_axum_router().route_service("/metrics", scrape);
    let server = Server::builder().accept_http1(true).add_routes(Routes::from(router));
    match tls {
        Some(tls) => {
            let incoming = tls::incoming(listener, tls, Purpose::Http);
            let incoming = connections::limited(incoming, HTTP1_PREFACE);
            server.serve_with_incoming_shutdown(incoming, shutdown).await
        }
        None => {
            let incoming = connections::limited(connections::plaintext(listener), HTTP1_PREFACE);
            server.serve_with_incoming_shutdown(incoming, shutdown).await
        }
    }
}

fn encode(registry: &Registry) -> Response<Body> {
    let mut text = String::new();
    match text::encode(&mut text, registry) {
        Ok(()) => {
            let mut response = Response::new(Body::new(text));
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
            response
        }
        Err(error) => {
            tracing::error!(%error, "cannot encode the metrics");
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
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
        let serving = tokio::spawn(serve(listener, None, registry, async { drop(stopped.await) }));
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        socket.read_to_string(&mut response).await.unwrap();
        drop(stop);
        serving.await.unwrap().unwrap();
        response
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
    async fn other_paths_are_not_found() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answer = get("/", listener, Registry::default()).await;
        assert!(!answer.contains("# EOF"), "{answer}");
    }
}
