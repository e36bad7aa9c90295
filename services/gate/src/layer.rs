//! The tower layer: passes calls on while the gate is open, and answers them while it is closed.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{BoxFuture, Either};
use tonic::server::NamedService;
use tower::{Layer, Service};

use crate::state::State;

/// Puts a service behind the gate; from [`Gate::layer`](crate::Gate::layer).
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
        if self.state.allows_calls() {
            return Either::Left(self.inner.call(request));
        }
        // Only this instance was polled ready; its clone was not.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let state = Arc::clone(&self.state);
        Either::Right(Box::pin(async move {
            match state.admit().await {
                Ok(()) => inner.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        }))
    }
}
