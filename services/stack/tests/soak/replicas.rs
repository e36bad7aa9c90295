//! A client that knows every replica and retries at the next one.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use testing::{channel, reason};
use tokio::time::{sleep, timeout};
use tonic::{Code, Response, Status, transport::Channel};

/// Delay before a retry.
pub const RETRY_DELAY: Duration = Duration::from_millis(20);

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a call is retried before its refusal is returned.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// A channel to each replica.
pub struct Replicas {
    channels: Vec<Channel>,
    current: usize,
    /// Retried calls, by their refusal.
    pub retries: BTreeMap<String, usize>,
}

impl Replicas {
    /// Opens a connection to each; the first call goes to `first`.
    pub fn new(addresses: &[SocketAddr], first: usize) -> Self {
        let channels = addresses.iter().map(|address| channel(*address)).collect();
        Self { channels, current: first, retries: BTreeMap::new() }
    }

    pub fn current(&self) -> Channel {
        self.channels[self.current % self.channels.len()].clone()
    }

    pub fn switch_to_next(&mut self) {
        self.current += 1;
    }

    /// Calls until a replica answers, or refuses for good.
    pub async fn call<R, F: Future<Output = Result<Response<R>, Status>>>(
        &mut self,
        request: impl Fn(Channel) -> F,
    ) -> Result<R, Status> {
        let since = Instant::now();
        loop {
            let answer = match timeout(CALL_TIMEOUT, request(self.current())).await {
                Ok(answer) => answer,
                Err(_) => Err(Status::deadline_exceeded("no answer in time")),
            };
            match answer {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if is_retryable(&status) && since.elapsed() < RETRY_TIMEOUT => {
                    *self.retries.entry(describe(&status)).or_default() += 1;
                    self.switch_to_next();
                    sleep(RETRY_DELAY).await;
                }
                Err(status) => return Err(status),
            }
        }
    }
}

/// Whether a retry may succeed: the call was not answered (every refusal of a service has details),
/// or the service is unavailable or at a limit.
pub fn is_retryable(status: &Status) -> bool {
    status.details().is_empty()
        || matches!(status.code(), Code::Unavailable | Code::ResourceExhausted)
}

/// The reason and code of a refusal.
pub fn describe(status: &Status) -> String {
    match status.details() {
        [] => format!("no answer ({:?})", status.code()),
        _ => format!("{} ({:?})", reason(status), status.code()),
    }
}
