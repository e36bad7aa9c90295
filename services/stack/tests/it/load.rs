//! Callers of several replicas of the chat service, that go on calling, and what they came to.

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

/// Callers of each kind for each replica.
const CALLERS: usize = 2;

/// How often each of them calls.
const PACE: Duration = Duration::from_millis(4);

/// How many more calls are made before something that was done to the services counts as seen.
const SEEN: u32 = 200;

type Replica = ChatServiceClient<Channel>;

/// Callers that call until they are asked what they saw.
pub struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<()>,
    stopping: CancellationToken,
}

/// What callers came to.
#[derive(Debug, Default)]
pub struct Seen {
    /// Calls that were answered.
    pub answered: u32,
    /// Messages that were said to be stored.
    pub sent: BTreeSet<String>,
    /// Calls that one replica answered with UNAVAILABLE, or that found none there, and that were
    /// made again on another.
    pub unavailable: u32,
    /// Calls whose connection was closed before they left, made again likewise.
    pub unsent: u32,
    /// Failures that nobody should see.
    pub failures: Vec<String>,
}

struct Shared {
    chat: String,
    addresses: Vec<SocketAddr>,
    /// Who is being restarted, so that a refusal of its is none of our business.
    restarting: Vec<AtomicBool>,
    answered: AtomicU32,
    phase: Mutex<&'static str>,
    seen: Mutex<Seen>,
}

impl Load {
    /// Begins to call: half of the callers keep to one replica and take each answer as it is, and
    /// half try another replica where one is UNAVAILABLE.
    pub fn start(addresses: &[SocketAddr], chat: &str) -> Self {
        let shared = Arc::new(Shared {
            chat: chat.into(),
            addresses: addresses.to_vec(),
            restarting: addresses.iter().map(|_| AtomicBool::new(false)).collect(),
            answered: AtomicU32::new(0),
            phase: Mutex::new("the beginning"),
            seen: Mutex::default(),
        });
        let stopping = CancellationToken::new();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS * addresses.len() {
            let until = stopping.clone();
            callers.spawn(Arc::clone(&shared).keep_to(caller % addresses.len(), until));
            callers.spawn(Arc::clone(&shared).try_all(caller, stopping.clone()));
        }
        Self { shared, callers, stopping }
    }

    /// Says what is being done, for failures to name.
    pub fn phase(&self, phase: &'static str) {
        *self.shared.phase.lock().unwrap() = phase;
    }

    /// Says that a replica is being restarted, or that it serves again.
    pub fn set_restarting(&self, replica: usize, restarting: bool) {
        self.shared.restarting[replica].store(restarting, Ordering::SeqCst);
    }

    /// Waits until many more calls were answered.
    pub async fn go_on(&self) {
        let enough = self.shared.answered.load(Ordering::SeqCst) + SEEN;
        eventually("the callers go on", async || {
            (self.shared.answered.load(Ordering::SeqCst) >= enough).then_some(())
        })
        .await;
    }

    /// Ends the calls.
    pub async fn end(self) -> Seen {
        self.stopping.cancel();
        self.callers.join_all().await;
        let answered = self.shared.answered.load(Ordering::SeqCst);
        let mut seen = self.shared.seen.lock().unwrap();
        Seen { answered, ..std::mem::take(&mut *seen) }
    }
}

impl Shared {
    /// Calls one replica, and tries nothing again.
    async fn keep_to(self: Arc<Self>, replica: usize, until: CancellationToken) {
        let mut client = ChatServiceClient::new(channel(self.addresses[replica]));
        let mut pace = pace();
        while until.run_until_cancelled(pace.tick()).await.is_some() {
            let excused = || self.restarting[replica].load(Ordering::SeqCst);
            let before = excused();
            match self.call(&mut client, &Uuid::now_v7().to_string()).await {
                Ok(()) => {}
                Err(_) if before || excused() => {}
                Err(status) => self.fail(&format!("replica {replica}, no retry"), &status),
            }
        }
    }

    /// Calls one replica after the other, and another one where one is UNAVAILABLE.
    async fn try_all(self: Arc<Self>, first: usize, until: CancellationToken) {
        let mut clients: Vec<Replica> =
            self.addresses.iter().map(|at| ChatServiceClient::new(channel(*at))).collect();
        let replicas = clients.len();
        let mut pace = pace();
        for number in first.. {
            if until.run_until_cancelled(pace.tick()).await.is_none() {
                return;
            }
            let id = Uuid::now_v7().to_string();
            for retry in 0..replicas {
                match self.call(&mut clients[(number + retry) % replicas], &id).await {
                    Ok(()) => break,
                    Err(status) if retry + 1 < replicas && is_elsewhere(&status) => {
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

    /// Sends a message, and looks at the chats. The id makes it safe to do so again.
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

/// Whether another replica is to be asked. A call whose connection was closed before it left is
/// UNAVAILABLE to most clients of gRPC; to tonic's it is CANCELLED or INTERNAL, with the
/// transport's error behind it, which no answer of a server has.
fn is_elsewhere(status: &Status) -> bool {
    let unanswered = status.source().is_some_and(|error| error.is::<tonic::transport::Error>());
    status.code() == Code::Unavailable || unanswered
}

fn pace() -> tokio::time::Interval {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
