use std::task::{Context, Poll};

use api::Reason;
use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use wire::Problem;

use super::peer::peer_certificate;

/// Calls that need no client certificate. A listener that requires one completes a handshake without
/// one only with this machine: there `schema health` and `chat health` have none.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Refuses calls without a client certificate, where one is required.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientCertificateLayer {
    pub(crate) is_required: bool,
}

impl<S> Layer<S> for ClientCertificateLayer {
    type Service = ClientCertificateService<S>;

    fn layer(&self, inner: S) -> ClientCertificateService<S> {
        ClientCertificateService { is_required: self.is_required, inner }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClientCertificateService<S> {
    is_required: bool,
    inner: S,
}

impl<S, B> Service<Request<B>> for ClientCertificateService<S>
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
        let has_certificate = || peer_certificate(request.extensions()).is_some();
        if self.is_required && !request.uri().path().starts_with(HEALTH) && !has_certificate() {
            return Either::Right(ready(Ok(Status::from(certificate_required()).into_http())));
        }
        Either::Left(self.inner.call(request))
    }
}

fn certificate_required() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        Reason::ClientCertificateRequired,
        "this listener requires a client certificate: pass --tls-client-cert and \
         --tls-client-key, or grpcurl's -cert and -key",
    )
}
