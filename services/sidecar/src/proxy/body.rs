//! The body of a response: it holds its request's slot, and a stream ends when the gate has been
//! closed for a while.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gate::Gate;
use http::{HeaderMap, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, body::Body};

use crate::problem::is_grpc;

/// How long streams go on once the gate is closed: within the drain, so that a stream ends with a
/// status rather than with its connection.
const STREAM_GRACE: Duration = Duration::from_secs(8);

/// Waits until the gate has been closed for as long as streams may go on.
pub(super) async fn long_closed(gate: Gate) {
    loop {
        gate.closed().await;
        tokio::select! {
            () = gate.opened() => {}
            () = tokio::time::sleep(STREAM_GRACE) => return,
        }
    }
}

/// How a body ends when the gate has been closed for long.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// With a status.
    Grpc,
    /// Broken off, since its format has no end to report an error in.
    EventStream,
    /// By itself.
    Finite,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
        if is_grpc(headers) {
            Self::Grpc
        } else if content_type.is_some_and(|value| value.starts_with(b"text/event-stream")) {
            Self::EventStream
        } else {
            Self::Finite
        }
    }
}

pub(super) struct GatedBody {
    inner: Incoming,
    kind: Kind,
    gate: Gate,
    /// Made when the body first waits: most never do.
    long_closed: Option<BoxFuture<'static, ()>>,
    has_ended: bool,
    _slot: OwnedSemaphorePermit,
}

impl GatedBody {
    pub(super) fn wrap(
        response: Response<Incoming>,
        gate: Gate,
        slot: OwnedSemaphorePermit,
    ) -> Response<Body> {
        if response.body().is_end_stream() {
            return response.map(|_| Body::default());
        }
        let kind = Kind::of(response.headers());
        response.map(|inner| {
            let long_closed = None;
            Body::new(Self { inner, kind, gate, long_closed, has_ended: false, _slot: slot })
        })
    }

    fn poll_long_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.kind == Kind::Finite {
            return Poll::Pending;
        }
        let gate = &self.gate;
        let long_closed =
            self.long_closed.get_or_insert_with(|| Box::pin(long_closed(gate.clone())));
        long_closed.as_mut().poll(cx)
    }

    /// The last frame of a stream that the gate ends.
    fn end(&mut self) -> Option<Result<Frame<Bytes>, Status>> {
        self.has_ended = true;
        let status = self.gate.refusal().unwrap_or_else(|| Status::unavailable("the gate closed"));
        if self.kind != Kind::Grpc {
            return Some(Err(status));
        }
        let mut trailers = HeaderMap::new();
        Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
    }
}

impl HttpBody for GatedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                let broken = |error: hyper::Error| Status::unavailable(error.to_string());
                Poll::Ready(frame.map(|frame| frame.map_err(broken)))
            }
            Poll::Pending => {
                ready!(self.poll_long_closed(cx));
                Poll::Ready(self.end())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
