//! The tower layer: lets calls pass while the gate is open, answers them itself while it is not.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{BoxFuture, Either};
use tonic::server::NamedService;
use tower::{Layer, Service};

use crate::state::State;

/// Puts a service behind the gate. What is not wrapped by it is never gated.
#[derive(Clone, Debug)]
pub struct GateLayer {
    state: Arc<State>,
}

impl GateLayer {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { state: Arc::clone(&self.state), inner }
    }
}

/// A service behind the gate.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    state: Arc<State>,
    inner: S,
}

impl<S: NamedService> NamedService for Gated<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, Body, Answer> Service<http::Request<Body>> for Gated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Answer>> + Clone + Send + 'static,
    S::Future: Send,
    Body: Send + 'static,
    Answer: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if self.state.lets_pass() {
            return Either::Left(self.inner.call(request));
        }
        // The one that was polled ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, fresh);
        let state = Arc::clone(&self.state);
        Either::Right(Box::pin(async move {
            match state.admit().await {
                Ok(()) => inner.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        }))
    }
}
