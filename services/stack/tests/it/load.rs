//! Continuous calls to several replicas of the chat service, and their results.

use std::{
    collections::BTreeSet,
    error::Error as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use api::chat::v1::{ListChatsRequest, SendMessageRequest, chat_service_client::ChatServiceClient};
use testing::{channel, eventually};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};
use uuid::Uuid;

/// Clients of each kind for each replica.
const CALLERS: usize = 2;

const CALL_INTERVAL: Duration = Duration::from_millis(4);

/// Calls that must succeed before the next phase.
const CALLS_PER_PHASE: u32 = 200;

type Replica = ChatServiceClient<Channel>;

/// Clients that call until `end`.
pub struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<()>,
    stopping: CancellationToken,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub answered: u32,
    /// Acknowledged messages.
    pub sent: BTreeSet<String>,
    /// Calls that were retried at another replica after UNAVAILABLE.
    pub unavailable: u32,
    /// Calls that were retried because their connection closed before they were sent.
    pub unsent: u32,
    /// Failures that a client must not see.
    pub failures: Vec<String>,
}

struct Shared {
    chat: String,
    addresses: Vec<SocketAddr>,
    /// Replicas that are being restarted: their refusals are expected.
    restarting: Vec<AtomicBool>,
    answered: AtomicU32,
    phase: Mutex<&'static str>,
    seen: Mutex<Seen>,
}

impl Load {
    /// Starts the clients: half use one replica without retries, and half retry at another replica
    /// after UNAVAILABLE.
    pub fn start(addresses: &[SocketAddr], chat: &str) -> Self {
        let shared = Arc::new(Shared {
            chat: chat.into(),
            addresses: addresses.to_vec(),
            restarting: addresses.iter().map(|_| AtomicBool::new(false)).collect(),
            answered: AtomicU32::new(0),
            phase: Mutex::new("start"),
            seen: Mutex::default(),
        });
        let stopping = CancellationToken::new();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS * addresses.len() {
            let until = stopping.clone();
            callers.spawn(Arc::clone(&shared).call_one(caller % addresses.len(), until));
            callers.spawn(Arc::clone(&shared).call_all(caller, stopping.clone()));
        }
        Self { shared, callers, stopping }
    }

    /// Names the phase, for failures.
    pub fn phase(&self, phase: &'static str) {
        *self.shared.phase.lock().unwrap() = phase;
    }

    pub fn set_restarting(&self, replica: usize, restarting: bool) {
        self.shared.restarting[replica].store(restarting, Ordering::SeqCst);
    }

    /// Waits until many more calls have succeeded.
    pub async fn wait_for_calls(&self) {
        let enough = self.shared.answered.load(Ordering::SeqCst) + CALLS_PER_PHASE;
        eventually("more calls succeed", async || {
            (self.shared.answered.load(Ordering::SeqCst) >= enough).then_some(())
        })
        .await;
    }

    pub async fn end(self) -> Seen {
        self.stopping.cancel();
        self.callers.join_all().await;
        let answered = self.shared.answered.load(Ordering::SeqCst);
        let mut seen = self.shared.seen.lock().unwrap();
        Seen { answered, ..std::mem::take(&mut *seen) }
    }
}

impl Shared {
    /// Calls one replica, without retries.
    async fn call_one(self: Arc<Self>, replica: usize, until: CancellationToken) {
        let mut client = ChatServiceClient::new(channel(self.addresses[replica]));
        let mut ticks = ticks();
        while until.run_until_cancelled(ticks.tick()).await.is_some() {
            let is_excused = || self.restarting[replica].load(Ordering::SeqCst);
            let was_excused = is_excused();
            match self.call(&mut client, &Uuid::now_v7().to_string()).await {
                Ok(()) => {}
                Err(_) if was_excused || is_excused() => {}
                Err(status) => self.fail(&format!("replica {replica}, no retry"), &status),
            }
        }
    }

    /// Calls the replicas in turn, and retries at the next after UNAVAILABLE.
    async fn call_all(self: Arc<Self>, first: usize, until: CancellationToken) {
        let mut clients: Vec<Replica> =
            self.addresses.iter().map(|at| ChatServiceClient::new(channel(*at))).collect();
        let replicas = clients.len();
        let mut ticks = ticks();
        for number in first.. {
            if until.run_until_cancelled(ticks.tick()).await.is_none() {
                return;
            }
            let id = Uuid::now_v7().to_string();
            for retry in 0..replicas {
                match self.call(&mut clients[(number + retry) % replicas], &id).await {
                    Ok(()) => break,
                    Err(status) if retry + 1 < replicas && is_retryable(&status) => {
                        let mut seen = self.seen.lock().unwrap();
                        match status.code() {
                            Code::Unavailable => seen.unavailable += 1,
                            _ => seen.unsent += 1,
                        }
                    }
                    Err(status) => {
                        self.fail(&format!("retry {retry}"), &status);
                        break;
                    }
                }
            }
        }
    }

    /// Sends a message and lists the chats. The id makes a retry safe.
    async fn call(&self, client: &mut Replica, id: &str) -> Result<(), Status> {
        let message = SendMessageRequest {
            chat_id: self.chat.clone(),
            id: id.into(),
            sender: "load@test".into(),
            body: "hello".into(),
            ..SendMessageRequest::default()
        };
        client.send_message(message).await?;
        self.seen.lock().unwrap().sent.insert(id.into());
        client.list_chats(ListChatsRequest::default()).await?;
        self.answered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn fail(&self, who: &str, status: &Status) {
        let phase = *self.phase.lock().unwrap();
        let failure = format!("{phase}: {who}: {status:?}");
        self.seen.lock().unwrap().failures.push(failure);
    }
}

/// Whether to retry at another replica. A call whose connection closed before it was sent is
/// UNAVAILABLE in most gRPC clients. In tonic it is CANCELLED or INTERNAL with a transport error as
/// its source, which a server's response never has.
fn is_retryable(status: &Status) -> bool {
    let unanswered = status.source().is_some_and(|error| error.is::<tonic::transport::Error>());
    status.code() == Code::Unavailable || unanswered
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(CALL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
