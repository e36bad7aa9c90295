//! The bus over NATS: replicas wake each other while NATS is reachable, and miss nothing while it is
//! not.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use api::chat::v1::{
    CreateScheduleRequest, ListMessagesRequest, Schedule, SubscribeRequest, SubscribeResponse,
    chat_service_client::ChatServiceClient, schedule::When,
    schedule_service_client::ScheduleServiceClient,
};
use futures_util::{FutureExt as _, StreamExt as _};
use testing::{Backend, Nats, Process, Scrape, apply, both, channel, eventually, health};
use tonic::{Streaming, transport::Channel};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::fixture::{Fixture, message, next_bodies};

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

type Client = ChatServiceClient<Channel>;

/// A replica in this process with a bus.
async fn replica(fixture: &Fixture, bus: &str) -> Client {
    let config = chat::Config { bus: Some(bus.parse().unwrap()), ..fixture.config() };
    ChatServiceClient::new(channel(fixture.replica_with(config).await))
}

/// A replica in a process of its own.
struct Replica {
    process: Process,
    address: SocketAddr,
    scrapes: SocketAddr,
}

impl Replica {
    /// Starts a replica and waits until it serves.
    async fn start(fixture: &Fixture, bus: &str) -> Self {
        let schema = format!("http://{}", fixture.schema);
        let env = [
            ("DATABASE_URL", fixture.database.url()),
            ("SCHEMA_URL", &schema),
            ("CHAT_METRICS_LISTEN", "127.0.0.1:0"),
            ("CHAT_BUS", bus),
        ];
        let mut process = Process::start(CHAT, &["serve"], &env);
        let address = process.address("chat").await;
        let scrapes = process.address("chat-metrics").await;
        eventually("the replica serves", async || {
            let status = health(address, "chat.v1.ChatService").await;
            status.ok().filter(|status| *status == ServingStatus::Serving)
        })
        .await;
        Self { process, address, scrapes }
    }

    fn client(&self) -> Client {
        ChatServiceClient::new(channel(self.address))
    }

    /// Number of lines of its log that contain a text.
    fn log_lines(&self, text: &str) -> usize {
        self.process.output().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for a value of the metric.
    async fn is_connected(&self, connected: bool) {
        eventually("chat_bus_connected", async || {
            let value = Scrape::of(self.scrapes).await.value("chat_bus_connected");
            (value == f64::from(u8::from(connected))).then_some(())
        })
        .await;
    }
}

async fn subscribe(client: &Client, after: &str) -> Streaming<SubscribeResponse> {
    let request = SubscribeRequest { after: after.into(), ..SubscribeRequest::default() };
    client.clone().subscribe(request).await.unwrap().into_inner()
}

async fn say(client: &Client, chat_id: &str, body: &str) {
    client.clone().send_message(message(chat_id, body)).await.unwrap();
}

/// The time from storing a message at one replica until a subscription to another one has it,
/// summed over a few messages.
async fn delay(from: &Client, to: &Client, chat_id: &str) -> Duration {
    let mut stream = subscribe(to, "").await;
    let mut delay = Duration::ZERO;
    for n in 0..4 {
        say(from, chat_id, &n.to_string()).await;
        let stored = Instant::now();
        assert_eq!(next_bodies(&mut stream, 1).await, [n.to_string()]);
        // The first one synchronises with the polls of the feed.
        delay += if n == 0 { Duration::ZERO } else { stored.elapsed() };
    }
    delay
}

/// Waits until messages of one replica reach another one much sooner than by polling.
async fn eventually_connected(from: &Client, to: &Client, chat_id: &str) {
    let by_polling = Duration::from_secs(3);
    eventually("the bus carries wake-ups", async || {
        (delay(from, to, chat_id).await < by_polling / 3).then_some(())
    })
    .await;
}

#[apply(both!)]
async fn messages_reach_another_replica_sooner_than_by_polling(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let nats = Nats::start().await;
    let chat = fixture.chat("a").await;
    let [one, other] = [replica(&fixture, &nats.url()).await, replica(&fixture, &nats.url()).await];
    eventually_connected(&one, &other, &chat).await;
    eventually_connected(&other, &one, &chat).await;
    // The fixture's own replica has no bus.
    let without_bus = delay(&one, &fixture.client(), &chat).await;
    let with_bus = delay(&one, &other, &chat).await;
    assert!(with_bus * 3 < without_bus, "{with_bus:?} with the bus, {without_bus:?} without");
}

#[apply(both!)]
async fn a_nats_failure_loses_and_duplicates_nothing(backend: Backend) {
    const COUNT: usize = 300;
    let fixture = Fixture::ready(backend).await;
    let mut nats = Nats::start().await;
    let chat = fixture.chat("a").await;
    let [one, other] = [replica(&fixture, &nats.url()).await, replica(&fixture, &nats.url()).await];
    eventually_connected(&one, &other, &chat).await;
    let mut streams = [subscribe(&one, "").await, subscribe(&other, "").await];
    let writers = [&one, &other].map(|client| {
        let (client, chat) = (client.clone(), chat.clone());
        tokio::spawn(async move {
            for n in 0..COUNT / 2 {
                say(&client, &chat, &format!("m{n}")).await;
            }
        })
    });
    let mut orders = [Vec::new(), Vec::new()];
    for part in [3, 3, 4] {
        for (stream, order) in streams.iter_mut().zip(&mut orders) {
            order.extend(next_bodies(stream, COUNT * part / 10).await);
        }
        match part {
            3 if orders[0].len() < COUNT / 2 => nats.kill().await,
            3 => nats.restart().await,
            _ => {}
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let stored = "select body from messages where body like 'm%' order by position";
    let stored: Vec<_> = fixture.database.column(stored).await.into_iter().flatten().collect();
    assert_eq!(stored.len(), COUNT);
    for order in orders {
        assert!(order == stored, "each once, in the order stored");
    }
    // Wake-ups work again.
    eventually_connected(&one, &other, &chat).await;
}

#[apply(both!)]
async fn an_unreachable_nats_is_logged_once_and_reconnected(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let mut nats = Nats::with_login("me", "s3cret").await;
    nats.kill().await;
    let one = Replica::start(&fixture, &nats.url()).await;
    let logged = async |text: &str, times| {
        eventually(text, async || (one.log_lines(text) == times).then_some(())).await;
    };
    logged("bus unavailable", 1).await;
    one.is_connected(false).await;
    // Messages of another replica arrive by polling.
    let mut stream = subscribe(&one.client(), "").await;
    fixture.say(&chat, "over there").await;
    assert_eq!(next_bodies(&mut stream, 1).await, ["over there"]);
    assert_eq!(one.log_lines("bus unavailable"), 1, "{:#?}", one.process.output());

    for times in 1..=2 {
        nats.restart().await;
        one.is_connected(true).await;
        logged("bus connected", times).await;
        let other = replica(&fixture, &nats.url()).await;
        eventually_connected(&other, &one.client(), &chat).await;
        nats.kill().await;
        one.is_connected(false).await;
        logged("bus unavailable", 1 + times).await;
    }
    for never in ["s3cret", "async_nats"] {
        assert_eq!(one.log_lines(never), 0, "{:#?}", one.process.output());
    }
}

#[apply(both!)]
async fn replicas_of_two_databases_share_one_nats(backend: Backend) {
    let nats = Nats::start().await;
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut subjects = Vec::new();
    let fixtures = [Fixture::ready(backend).await, Fixture::ready(backend).await];
    for fixture in &fixtures {
        let chat = fixture.chat("a").await;
        let [one, other] =
            [replica(fixture, &nats.url()).await, replica(fixture, &nats.url()).await];
        eventually_connected(&one, &other, &chat).await;
        let mut wake_ups = listener.subscribe("schemagate.*.messages").await.unwrap();
        listener.flush().await.unwrap();
        say(&one, &chat, "a s3cret").await;
        let wake_up = next_after_commit(&mut wake_ups).await;
        // The id of the replica, and nothing about the message.
        assert_eq!(wake_up.payload.len(), 16);
        assert!(wake_up.headers.is_none());
        for text in [fixture.database.url(), &chat] {
            assert!(!wake_up.subject.contains(text), "{}", wake_up.subject);
        }
        subjects.push(wake_up.subject);
    }
    assert_ne!(subjects[0], subjects[1]);
}

/// The next wake-up after a commit. The payload names the replica; it is empty in the wake-up of a
/// replica that has just connected.
async fn next_after_commit(wake_ups: &mut async_nats::Subscriber) -> async_nats::Message {
    next_where(wake_ups, |wake_up| !wake_up.payload.is_empty()).await
}

async fn next_where(
    wake_ups: &mut async_nats::Subscriber,
    is_expected: impl Fn(&async_nats::Message) -> bool,
) -> async_nats::Message {
    let search = async {
        loop {
            let next = wake_ups.next().await.unwrap();
            if is_expected(&next) {
                return next;
            }
        }
    };
    tokio::time::timeout(testing::DEADLINE, search).await.expect("the wake-up arrives")
}

#[apply(both!)]
async fn a_burst_of_commits_is_merged_into_few_wake_ups(backend: Backend) {
    const PUBLISH_INTERVAL: Duration = Duration::from_millis(5);
    let nats = Nats::start().await;
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut wake_ups = listener.subscribe("schemagate.*.messages").await.unwrap();
    listener.flush().await.unwrap();
    let client = replica(&fixture, &nats.url()).await;
    // Only a connected replica publishes its commits.
    next_where(&mut wake_ups, |wake_up| wake_up.payload.is_empty()).await;
    let started = Instant::now();
    let senders = (0..8).map(|_| {
        let (client, chat) = (client.clone(), chat.clone());
        tokio::spawn(async move {
            for n in 0..50 {
                say(&client, &chat, &n.to_string()).await;
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    next_after_commit(&mut wake_ups).await;
    let mut count = 1;
    while wake_ups.next().now_or_never().flatten().is_some() {
        count += 1;
    }
    // One for each interval so far, and the one that began the first.
    let elapsed = started.elapsed();
    let most = elapsed.as_millis() / PUBLISH_INTERVAL.as_millis() + 1;
    assert!(count <= most, "{count} within {elapsed:?}");
}

#[apply(both!)]
async fn a_schedule_of_a_killed_replica_is_sent_by_another(backend: Backend) {
    // Well below the second between two polls.
    const MAX_DELAY: Duration = Duration::from_millis(400);
    const MAX_TRIES: usize = 5;
    let nats = Nats::start().await;
    let fixture = Fixture::ready(backend).await;
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut wake_ups = listener.subscribe("schemagate.*.schedules").await.unwrap();
    listener.flush().await.unwrap();
    let survivor = Replica::start(&fixture, &nats.url()).await;
    let mut delays = Vec::new();
    // A pause of the machine makes a run late; polling makes every run late.
    while delays.len() < MAX_TRIES && delays.last().is_none_or(|delay| *delay >= MAX_DELAY) {
        let chat = fixture.chat(&format!("chat {}", delays.len())).await;
        let mut killed = Replica::start(&fixture, &nats.url()).await;
        // A replica that creates a schedule reads the schedules, and polls again a second later.
        for address in [fixture.chat, survivor.address] {
            schedule(address, &chat, Duration::from_secs(3_600)).await;
        }
        let of_survivor = next_after_commit(&mut wake_ups).await.payload;
        let due = schedule(killed.address, &chat, Duration::from_millis(300)).await;
        next_where(&mut wake_ups, |wake_up| {
            !wake_up.payload.is_empty() && wake_up.payload != of_survivor
        })
        .await;
        killed.process.kill().await;
        let request = ListMessagesRequest { chat_id: chat, ..ListMessagesRequest::default() };
        let sent = eventually("the run is sent", async || {
            let listed = fixture.client().list_messages(request.clone()).await.unwrap();
            listed.into_inner().messages.pop()
        })
        .await;
        let sent_at = SystemTime::try_from(sent.sent_at.unwrap()).unwrap();
        delays.push(sent_at.duration_since(due).unwrap());
    }
    assert!(delays.last().is_some_and(|delay| *delay < MAX_DELAY), "{delays:?}");
}

/// Creates a schedule and returns when it is due.
async fn schedule(replica: SocketAddr, chat_id: &str, from_now: Duration) -> SystemTime {
    let due = SystemTime::now() + from_now;
    let schedule = Schedule {
        chat_id: chat_id.into(),
        message: "hello".into(),
        when: Some(When::Once(due.into())),
        enabled: true,
        ..Schedule::default()
    };
    let request = CreateScheduleRequest { schedule: Some(schedule) };
    ScheduleServiceClient::new(channel(replica)).create_schedule(request).await.unwrap();
    due
}

#[apply(both!)]
async fn a_broken_subscription_resumes_after_the_last_cursor(backend: Backend) {
    const COUNT: usize = 200;
    let nats = Nats::start().await;
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let mut killed = Replica::start(&fixture, &nats.url()).await;
    let other = replica(&fixture, &nats.url()).await;
    let mut stream = subscribe(&killed.client(), "").await;
    let writer = tokio::spawn({
        let (other, chat) = (other.clone(), chat.clone());
        async move {
            for n in 0..COUNT {
                say(&other, &chat, &n.to_string()).await;
            }
        }
    });
    let mut received = Vec::new();
    let mut cursor = String::new();
    while received.len() < COUNT {
        if received.len() == COUNT / 4 {
            killed.process.kill().await;
        }
        match stream.message().await {
            Ok(Some(next)) => {
                let message = next.message.unwrap();
                cursor = message.cursor;
                received.push(message.body);
            }
            // Messages in transit may still arrive before the error.
            Ok(None) | Err(_) => stream = subscribe(&other, &cursor).await,
        }
    }
    writer.await.unwrap();
    let sent: Vec<_> = (0..COUNT).map(|n| n.to_string()).collect();
    assert!(received == sent, "each once, in order: {received:?}");
}

#[tokio::test]
async fn an_invalid_bus_url_is_refused_before_the_server_listens() {
    let env = [("DATABASE_URL", "sqlite:x.db"), ("CHAT_BUS", "redis://me:s3cret@bus")];
    let mut process = Process::start(CHAT, &["serve"], &env);
    assert_eq!(process.ended().await.code(), Some(2));
    let output = eventually("the error is printed", async || {
        let output = process.output().join("\n");
        output.contains("try '--help'").then_some(output)
    })
    .await;
    assert!(output.contains("'--bus <URL>': unsupported scheme 'redis'"), "{output}");
    assert!(!output.contains("s3cret") && !output.contains("listen"), "{output}");
}
