//! Who may call without a certificate where callers must have one: a health check. It comes from
//! this very machine, as `chat health` does; the handshakes of all others end without one.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::peer_certificate;
use crate::status::Problem;

/// The calls that anybody on this machine may make.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The layer, and what it makes of a service.
#[derive(Clone, Debug)]
pub(crate) struct Callers<S> {
    must_be_known: bool,
    inner: S,
}

impl Callers<()> {
    /// The layer.
    pub(crate) const fn known(must_be: bool) -> Self {
        Self { must_be_known: must_be, inner: () }
    }
}

impl<S> Layer<S> for Callers<()> {
    type Service = Callers<S>;

    fn layer(&self, inner: S) -> Callers<S> {
        Callers { must_be_known: self.must_be_known, inner }
    }
}

impl<S, B> Service<Request<B>> for Callers<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_known = || peer_certificate(request.extensions()).is_some();
        if self.must_be_known && !request.uri().path().starts_with(HEALTH) && !is_known() {
            return Either::Right(ready(Ok(Status::from(unknown()).into_http())));
        }
        Either::Left(self.inner.call(request))
    }
}

fn unknown() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        "CLIENT_CERTIFICATE_REQUIRED",
        "this service takes calls only from those who show a client certificate: \
         --tls-client-cert and --tls-client-key, or grpcurl's -cert and -key",
    )
}
