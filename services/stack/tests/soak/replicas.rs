//! A client that knows every replica, and asks another one where one does not answer.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use testing::{channel, reason};
use tokio::time::{sleep, timeout};
use tonic::{Code, Response, Status, transport::Channel};

/// Before it asks again.
pub const PAUSE: Duration = Duration::from_millis(20);

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);

/// How long it asks, before it takes the refusal for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The replicas, and whose turn it is.
pub struct Replicas {
    channels: Vec<Channel>,
    turn: usize,
    /// Calls that were made again, by what came of them.
    pub retries: BTreeMap<String, usize>,
}

impl Replicas {
    /// With a connection of its own to each; the first call goes to this one.
    pub fn new(addresses: &[SocketAddr], first: usize) -> Self {
        let channels = addresses.iter().map(|address| channel(*address)).collect();
        Self { channels, turn: first, retries: BTreeMap::new() }
    }

    /// The one whose turn it is.
    pub fn here(&self) -> Channel {
        self.channels[self.turn % self.channels.len()].clone()
    }

    /// Turns to the next.
    pub fn elsewhere(&mut self) {
        self.turn += 1;
    }

    /// Calls until there is an answer, or a refusal that no other replica would mend.
    pub async fn insist<R, F: Future<Output = Result<Response<R>, Status>>>(
        &mut self,
        call: impl Fn(Channel) -> F,
    ) -> Result<R, Status> {
        let since = Instant::now();
        loop {
            let answer = match timeout(CALL, call(self.here())).await {
                Ok(answer) => answer,
                Err(_) => Err(Status::deadline_exceeded("not answered")),
            };
            match answer {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if passes(&status) && since.elapsed() < PATIENCE => {
                    *self.retries.entry(told(&status)).or_default() += 1;
                    self.elsewhere();
                    sleep(PAUSE).await;
                }
                Err(status) => return Err(status),
            }
        }
    }
}

/// Whether it is worth another try: nobody answered, for every refusal of a service's own carries
/// details; or it said that it cannot now.
pub fn passes(status: &Status) -> bool {
    status.details().is_empty()
        || matches!(status.code(), Code::Unavailable | Code::ResourceExhausted)
}

/// A refusal, for people.
pub fn told(status: &Status) -> String {
    match status.details() {
        [] => format!("no answer ({:?})", status.code()),
        _ => format!("{} ({:?})", reason(status), status.code()),
    }
}
