//! The durations of rpcs by service, method and code: a tower layer around a whole server, and a
//! collector for scrapes.
//!
//! An rpc lasts from the head of its request to the end of its response, trailers included; a
//! stream, as long as it is open. Where the caller disconnects, it ends as CANCELLED. RpcMetrics in
//! progress are a gauge: a stream such as Watch shows in no duration before it ends.
//!
//! A call costs one look-up in an immutable map, two reads of the clock, a few atomic additions and
//! two small allocations. It takes no lock.

mod counts;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, registry::Registry};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use wire::{MethodName, methods};

use self::counts::Method;

/// The label of unknown methods: clients choose paths, and the number of labels must be bounded.
const OTHER: &str = "other";

/// The durations and counts of a server's rpcs. Clones share them.
#[derive(Clone, Debug)]
pub struct RpcMetrics {
    methods: Arc<Methods>,
}

#[derive(Debug)]
struct Methods {
    /// By path, such as `/chat.v1.ChatService/ListChats`.
    known: HashMap<String, Arc<Method>>,
    other: Arc<Method>,
}

impl RpcMetrics {
    /// Metrics of the methods of the contract, of health and of reflection.
    pub fn new() -> Self {
        let counted =
            |name: MethodName| (name.path(), Arc::new(Method::new(&name.service, &name.method)));
        let known = methods().into_iter().map(counted).collect();
        let other = Arc::new(Method::new(OTHER, OTHER));
        Self { methods: Arc::new(Methods { known, other }) }
    }

    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    fn begin(&self, path: &str) -> RunningRpc {
        let method = self.methods.known.get(path).unwrap_or(&self.methods.other);
        method.begin();
        RunningRpc { method: Arc::clone(method), begun: Instant::now(), code: Code::Cancelled }
    }
}

impl Default for RpcMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for RpcMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut methods: Vec<_> = self.methods.known.values().collect();
        methods.push(&self.methods.other);
        methods.retain(|method| method.was_called());
        methods.sort_by_key(|method| method.name());
        counts::encode(&methods, &mut encoder)
    }
}

/// An rpc in progress; its end is counted on drop.
struct RunningRpc {
    method: Arc<Method>,
    begun: Instant,
    code: Code,
}

impl RunningRpc {
    /// Takes the code from a response's head or trailers, where it is present.
    fn read_code(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.code = Code::from_bytes(code.as_bytes());
        }
    }
}

impl Drop for RunningRpc {
    fn drop(&mut self) {
        self.method.end(self.code, self.begun.elapsed());
    }
}

/// Measures the rpcs of a service.
#[derive(Clone, Debug)]
pub struct RpcMetricsLayer {
    metrics: Option<RpcMetrics>,
}

impl RpcMetricsLayer {
    /// A layer that measures nothing where `metrics` is `None`.
    pub const fn new(metrics: Option<RpcMetrics>) -> Self {
        Self { metrics }
    }
}

impl<S> Layer<S> for RpcMetricsLayer {
    type Service = RpcMetricsService<S>;

    fn layer(&self, inner: S) -> RpcMetricsService<S> {
        RpcMetricsService { metrics: self.metrics.clone(), inner }
    }
}

/// A service behind an [`RpcMetricsLayer`].
#[derive(Clone, Debug)]
pub struct RpcMetricsService<S> {
    metrics: Option<RpcMetrics>,
    inner: S,
}

impl<S, B> Service<Request<B>> for RpcMetricsService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(metrics) = &self.metrics else {
            return Either::Left(self.inner.call(request));
        };
        let mut running = metrics.begin(request.uri().path());
        let response = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = response.await?;
            running.read_code(response.headers());
            Ok(response.map(|body| Body::new(MeasuredBody { body, running: Some(running) })))
        }))
    }
}

/// A response's body; its end is the rpc's.
struct MeasuredBody {
    body: Body,
    running: Option<RunningRpc>,
}

impl http_body::Body for MeasuredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let trailers = match &frame {
            Some(Ok(frame)) => frame.trailers_ref(),
            Some(Err(_)) | None => None,
        };
        if let (Some(running), Some(trailers)) = (&mut self.running, trailers) {
            running.read_code(trailers);
        }
        if trailers.is_some() || !matches!(frame, Some(Ok(_))) {
            self.running = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
