//! Limits: what is over one is refused at once with RESOURCE_EXHAUSTED, while calls in hand go on.

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

/// When a caller may try again, where there is only no room.
pub(crate) const LIMIT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How much the service takes on at once.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Limits {
    /// Connections to the database, at most. They open when they are needed.
    #[arg(long = "connections", env = "CHAT_CONNECTIONS", default_value_t = Self::DEFAULT.connections)]
    pub connections: NonZeroUsize,
    /// Calls that are worked on at once; further ones are refused.
    #[arg(long = "max-requests", env = "CHAT_MAX_REQUESTS", default_value_t = Self::DEFAULT.requests)]
    pub requests: NonZeroUsize,
    /// Streams that are open at once (subscribers, bots' workers); further ones are refused.
    #[arg(long = "max-streams", env = "CHAT_MAX_STREAMS", default_value_t = Self::DEFAULT.streams)]
    pub streams: NonZeroUsize,
    /// Messages that wait to be stored; further ones are refused.
    #[arg(long = "max-queue", env = "CHAT_MAX_QUEUE", default_value_t = Self::DEFAULT.queue)]
    pub queue: NonZeroUsize,
    /// Failures of one delivery to a bot, after which it is parked until RetryDelivery.
    #[arg(long = "bot-failures", env = "CHAT_BOT_FAILURES", default_value_t = Self::DEFAULT.bot_failures)]
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

/// A number of things that may be at once, by name.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    what: &'static str,
    free: Arc<Semaphore>,
}

impl Room {
    pub(crate) fn new(what: &'static str, size: NonZeroUsize) -> Self {
        Self { what, free: Arc::new(Semaphore::new(size.get())) }
    }

    /// A place, until it is dropped.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.free.clone().try_acquire_owned().map_err(|_| {
            let words = format!("too many {} at once; try again", self.what);
            Problem::new(Code::ResourceExhausted, Reason::TooManyAtOnce, words)
                .with("what", self.what)
                .retry_after(LIMIT_RETRY_DELAY)
        })
    }
}

/// A service that works on so many calls at once.
#[derive(Clone, Debug)]
pub(crate) struct Limited<S> {
    inner: S,
    room: Room,
}

impl<S> Limited<S> {
    /// Services that share a room share its limit.
    pub(crate) const fn new(inner: S, room: Room) -> Self {
        Self { inner, room }
    }
}

impl<S: NamedService> NamedService for Limited<S> {
    const NAME: &'static str = S::NAME;
}

type Answer<E> = Result<http::Response<Body>, E>;

impl<S, B> Service<http::Request<B>> for Limited<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<BoxFuture<'static, Answer<S::Error>>, Ready<Answer<S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        match self.room.enter() {
            Ok(place) => {
                let answer = self.inner.call(request);
                let answer = async move {
                    let answer = answer.await;
                    drop(place);
                    answer.map(rpc::in_place)
                };
                Either::Left(answer.boxed())
            }
            Err(problem) => Either::Right(ready(Ok(Status::from(problem).into_http()))),
        }
    }
}
