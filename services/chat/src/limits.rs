//! Limits on concurrent work. Work over a limit is refused with RESOURCE_EXHAUSTED;
//! calls in progress are not affected.

use std::{
    future::{Ready, ready},
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use api::Reason;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Either},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status, body::Body, codegen::http, server::NamedService};
use tower::Service;
use wire::Problem;

use crate::rpc;

/// When a caller may try again after a refusal over a limit.
pub(crate) const LIMIT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The limits of a service.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Limits {
    /// Maximum number of connections to the database; they are opened as needed
    #[arg(
        long = "connections",
        env = "CHAT_CONNECTIONS",
        value_name = "COUNT",
        default_value_t = Self::DEFAULT.connections
    )]
    pub connections: NonZeroUsize,
    /// Maximum number of calls in progress; further calls are refused
    #[arg(
        long = "max-requests",
        env = "CHAT_MAX_REQUESTS",
        value_name = "COUNT",
        default_value_t = Self::DEFAULT.requests
    )]
    pub requests: NonZeroUsize,
    /// Maximum number of open streams, of subscribers and of bots' workers; further streams are
    /// refused
    #[arg(
        long = "max-streams",
        env = "CHAT_MAX_STREAMS",
        value_name = "COUNT",
        default_value_t = Self::DEFAULT.streams
    )]
    pub streams: NonZeroUsize,
    /// Maximum number of messages that wait to be stored; further messages are refused
    #[arg(
        long = "max-queue",
        env = "CHAT_MAX_QUEUE",
        value_name = "COUNT",
        default_value_t = Self::DEFAULT.queue
    )]
    pub queue: NonZeroUsize,
    /// Park a delivery to a bot after this number of failures, until RetryDelivery
    #[arg(
        long = "bot-failures",
        env = "CHAT_BOT_FAILURES",
        value_name = "COUNT",
        default_value_t = Self::DEFAULT.bot_failures
    )]
    pub bot_failures: NonZeroU32,
}

impl Limits {
    /// Enough for thousands of callers on a small machine.
    pub const DEFAULT: Self = Self {
        connections: at_least_one(16),
        requests: at_least_one(4_096),
        streams: at_least_one(20_000),
        queue: at_least_one(1_024),
        bot_failures: NonZeroU32::MIN.saturating_add(4),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const fn at_least_one(number: usize) -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(number - 1)
}

/// How many operations of a kind may be in progress. Clones share the limit.
#[derive(Clone, Debug)]
pub(crate) struct ConcurrencyLimit {
    /// For the refusal, in the plural.
    kind: &'static str,
    permits: Arc<Semaphore>,
}

impl ConcurrencyLimit {
    pub(crate) fn new(kind: &'static str, limit: NonZeroUsize) -> Self {
        Self { kind, permits: Arc::new(Semaphore::new(limit.get())) }
    }

    /// A permit for one operation, which ends when the permit is dropped.
    pub(crate) fn try_acquire(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.permits.clone().try_acquire_owned().map_err(|_| {
            let message = format!("too many {} in progress; try again", self.kind);
            Problem::new(Code::ResourceExhausted, Reason::TooManyAtOnce, message)
                .with("what", self.kind)
                .retry_after(LIMIT_RETRY_DELAY)
        })
    }
}

/// A service whose calls in progress are limited.
#[derive(Clone, Debug)]
pub(crate) struct LimitedService<S> {
    inner: S,
    limit: ConcurrencyLimit,
}

impl<S> LimitedService<S> {
    pub(crate) const fn new(inner: S, limit: ConcurrencyLimit) -> Self {
        Self { inner, limit }
    }
}

impl<S: NamedService> NamedService for LimitedService<S> {
    const NAME: &'static str = S::NAME;
}

type CallResult<E> = Result<http::Response<Body>, E>;

impl<S, B> Service<http::Request<B>> for LimitedService<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<BoxFuture<'static, CallResult<S::Error>>, Ready<CallResult<S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        match self.limit.try_acquire() {
            Ok(permit) => {
                let call = self.inner.call(request);
                let call = async move {
                    let result = call.await;
                    drop(permit);
                    result.map(rpc::replace_body)
                };
                Either::Left(call.boxed())
            }
            Err(problem) => Either::Right(ready(Ok(Status::from(problem).into_http()))),
        }
    }
}
