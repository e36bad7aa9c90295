//! How long each rpc takes, by service, method and code: a tower layer around a whole server, and
//! what a scrape reads of it.
//!
//! An rpc lasts from its request's head to the end of its response, trailers and all; a stream, as
//! long as it goes on. A caller that hangs up ends it as CANCELLED. What is under way is a gauge
//! of its own, since a Watch is heard of nowhere else before it ends.
//!
//! A call pays for a look-up in a map that never changes, two looks at the clock, a few atomic
//! additions and two small allocations; nobody waits for anybody.

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

use counts::Method;

use wire::{MethodName, methods};

/// What is counted under the name of no method: clients choose paths, and labels must be few.
const OTHER: &str = "other";

/// The rpcs of a server, timed. Its clones are the same one.
#[derive(Clone, Debug)]
pub struct Rpcs {
    methods: Arc<Methods>,
}

#[derive(Debug)]
struct Methods {
    /// By path, such as `/chat.v1.ChatService/ListChats`.
    known: HashMap<String, Arc<Method>>,
    other: Arc<Method>,
}

impl Rpcs {
    /// Those of the contract, of health and of reflection.
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

    fn begin(&self, path: &str) -> Running {
        let method = self.methods.known.get(path).unwrap_or(&self.methods.other);
        method.begin();
        Running { method: Arc::clone(method), begun: Instant::now(), code: Code::Cancelled }
    }
}

impl Default for Rpcs {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for Rpcs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut methods: Vec<_> = self.methods.known.values().collect();
        methods.push(&self.methods.other);
        methods.retain(|method| method.was_called());
        methods.sort_by_key(|method| method.name());
        counts::encode(&methods, &mut encoder)
    }
}

/// An rpc under way; its end is counted when it is dropped.
struct Running {
    method: Arc<Method>,
    begun: Instant,
    code: Code,
}

impl Running {
    /// Takes the code from a response's head or trailers, where it is there.
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.code = Code::from_bytes(code.as_bytes());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.method.end(self.code, self.begun.elapsed());
    }
}

/// The layer, and what it makes of a service. Without [`Rpcs`] it times nothing.
#[derive(Clone, Debug)]
pub struct Timed<S> {
    rpcs: Option<Rpcs>,
    inner: S,
}

impl Timed<()> {
    /// The layer.
    pub const fn by(rpcs: Option<Rpcs>) -> Self {
        Self { rpcs, inner: () }
    }
}

impl<S> Layer<S> for Timed<()> {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { rpcs: self.rpcs.clone(), inner }
    }
}

impl<S, B> Service<Request<B>> for Timed<S>
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
        let Some(rpcs) = &self.rpcs else {
            return Either::Left(self.inner.call(request));
        };
        let mut running = rpcs.begin(request.uri().path());
        let answer = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = answer.await?;
            running.read(response.headers());
            Ok(response.map(|body| Body::new(Answer { body, running: Some(running) })))
        }))
    }
}

/// A response's body, whose end is the rpc's.
struct Answer {
    body: Body,
    running: Option<Running>,
}

impl http_body::Body for Answer {
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
            running.read(trailers);
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
