//! The bus over NATS: replicas hear each other at once while it is there, and lose nothing while it
//! is not.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use api::chat::v1::{
    CreateScheduleRequest, ListMessagesRequest, Schedule, SubscribeRequest, SubscribeResponse,
    chat_service_client::ChatServiceClient, schedule::When,
    schedule_service_client::ScheduleServiceClient,
};
use futures_util::StreamExt as _;
use testing::{Backend, Nats, Process, Scrape, apply, both, channel, eventually, health};
use tonic::{Streaming, transport::Channel};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::fixture::{Fixture, heard, message};

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

type Client = ChatServiceClient<Channel>;

/// A replica in this process, on a bus.
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
    /// One that serves.
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
            let said = health(address, "chat.v1.ChatService").await;
            said.ok().filter(|said| *said == ServingStatus::Serving)
        })
        .await;
        Self { process, address, scrapes }
    }

    fn client(&self) -> Client {
        ChatServiceClient::new(channel(self.address))
    }

    /// How many lines of its log hold this.
    fn told(&self, what: &str) -> usize {
        self.process.output().iter().filter(|line| line.contains(what)).count()
    }

    /// Waits until the metric says so.
    async fn is_connected(&self, connected: bool) {
        eventually("chat_bus_connected", async || {
            let told = Scrape::of(self.scrapes).await.value("chat_bus_connected");
            (told == f64::from(u8::from(connected))).then_some(())
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

/// How long it takes until one replica heard what another one stored, a few times over.
async fn delay(from: &Client, to: &Client, chat_id: &str) -> Duration {
    let mut stream = subscribe(to, "").await;
    let mut delay = Duration::ZERO;
    for n in 0..4 {
        say(from, chat_id, &n.to_string()).await;
        let stored = Instant::now();
        assert_eq!(heard(&mut stream, 1).await, [n.to_string()]);
        // The first one tells when the feed looks next by itself.
        delay += if n == 0 { Duration::ZERO } else { stored.elapsed() };
    }
    delay
}

/// Waits until a replica hears another one far sooner than it would by itself.
async fn eventually_hears(from: &Client, to: &Client, chat_id: &str) {
    let by_itself = Duration::from_secs(3);
    eventually("the bus carries news", async || {
        (delay(from, to, chat_id).await < by_itself / 3).then_some(())
    })
    .await;
}

#[apply(both!)]
async fn another_replica_hears_at_once(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let nats = Nats::start().await;
    let chat = fixture.chat("a").await;
    let [one, other] = [replica(&fixture, &nats.url()).await, replica(&fixture, &nats.url()).await];
    eventually_hears(&one, &other, &chat).await;
    eventually_hears(&other, &one, &chat).await;
    // The fixture's own has no bus.
    let alone = delay(&one, &fixture.client(), &chat).await;
    let together = delay(&one, &other, &chat).await;
    assert!(together * 3 < alone, "{together:?} with the bus, {alone:?} without");
}

#[apply(both!)]
async fn a_broker_that_dies_loses_and_doubles_nothing(backend: Backend) {
    const COUNT: usize = 300;
    let fixture = Fixture::ready(backend).await;
    let mut nats = Nats::start().await;
    let chat = fixture.chat("a").await;
    let [one, other] = [replica(&fixture, &nats.url()).await, replica(&fixture, &nats.url()).await];
    eventually_hears(&one, &other, &chat).await;
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
            order.extend(heard(stream, COUNT * part / 10).await);
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
    // And at once again.
    eventually_hears(&one, &other, &chat).await;
}

#[apply(both!)]
async fn a_broker_that_is_away_is_said_once_and_found_when_it_comes(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let mut nats = Nats::with_login("me", "s3cret").await;
    nats.kill().await;
    let one = Replica::start(&fixture, &nats.url()).await;
    let fails = async |times| {
        eventually("it says so", async || (one.told("bus unavailable") == times).then_some(()))
            .await;
    };
    fails(1).await;
    one.is_connected(false).await;
    // What another replica stores is heard all the same.
    let mut stream = subscribe(&one.client(), "").await;
    fixture.say(&chat, "over there").await;
    assert_eq!(heard(&mut stream, 1).await, ["over there"]);
    assert_eq!(one.told("bus unavailable"), 1, "{:#?}", one.process.output());

    for times in 1..=2 {
        nats.restart().await;
        one.is_connected(true).await;
        let connected = async || (one.told("bus connected") == times).then_some(());
        eventually("it says so", connected).await;
        let other = replica(&fixture, &nats.url()).await;
        eventually_hears(&other, &one.client(), &chat).await;
        nats.kill().await;
        one.is_connected(false).await;
        fails(1 + times).await;
    }
    for never in ["s3cret", "async_nats"] {
        assert_eq!(one.told(never), 0, "{:#?}", one.process.output());
    }
}

#[apply(both!)]
async fn two_databases_on_one_broker_do_not_hear_each_other(backend: Backend) {
    let nats = Nats::start().await;
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut subjects = Vec::new();
    let fixtures = [Fixture::ready(backend).await, Fixture::ready(backend).await];
    for fixture in &fixtures {
        let chat = fixture.chat("a").await;
        let [one, other] =
            [replica(fixture, &nats.url()).await, replica(fixture, &nats.url()).await];
        eventually_hears(&one, &other, &chat).await;
        let mut news = listener.subscribe("schemagate.*.messages").await.unwrap();
        listener.flush().await.unwrap();
        say(&one, &chat, "a s3cret").await;
        let news = next_of_one(&mut news).await;
        // Who tells it, and nothing of what is told.
        assert_eq!(news.payload.len(), 16);
        assert!(news.headers.is_none());
        for told in [fixture.database.url(), &chat] {
            assert!(!news.subject.contains(told), "{}", news.subject);
        }
        subjects.push(news.subject);
    }
    assert_ne!(subjects[0], subjects[1]);
}

/// The next news of one replica; what one tells that connects is for everybody.
async fn next_of_one(news: &mut async_nats::Subscriber) -> async_nats::Message {
    let of_one = async {
        loop {
            let next = news.next().await.unwrap();
            if !next.payload.is_empty() {
                return next;
            }
        }
    };
    tokio::time::timeout(testing::DEADLINE, of_one).await.expect("it is told")
}

#[apply(both!)]
async fn a_burst_is_few_news(backend: Backend) {
    let nats = Nats::start().await;
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let client = replica(&fixture, &nats.url()).await;
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut news = listener.subscribe("schemagate.*.messages").await.unwrap();
    listener.flush().await.unwrap();
    say(&client, &chat, "first").await;
    next_of_one(&mut news).await;
    let begun = Instant::now();
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
    let took = begun.elapsed();
    next_of_one(&mut news).await;
    let mut count = 1;
    // Until there was none for longer than news gathers.
    while tokio::time::timeout(Duration::from_millis(200), news.next()).await.is_ok() {
        count += 1;
    }
    // One for each five milliseconds, and the one that tells of the last.
    let most = took.as_millis() / 5 + 2;
    assert!(count <= most, "{count} within {took:?}");
}

#[apply(both!)]
async fn a_schedule_made_on_one_replica_is_kept_by_another(backend: Backend) {
    let nats = Nats::start().await;
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut news = listener.subscribe("schemagate.*.schedules").await.unwrap();
    listener.flush().await.unwrap();
    let survivor = Replica::start(&fixture, &nats.url()).await;
    let mut doomed = Replica::start(&fixture, &nats.url()).await;

    // Who made one has looked just now, and by itself does not do so again for a second.
    for looks in [fixture.chat, survivor.address] {
        schedule(looks, &chat, Duration::from_secs(3_600)).await;
    }
    let survivors = next_of_one(&mut news).await.payload;
    let due = schedule(doomed.address, &chat, Duration::from_millis(300)).await;
    while next_of_one(&mut news).await.payload == survivors {}
    doomed.process.kill().await;

    let request = ListMessagesRequest { chat_id: chat, ..ListMessagesRequest::default() };
    let sent = eventually("it is sent", async || {
        let listed = fixture.client().list_messages(request.clone()).await.unwrap();
        listed.into_inner().messages.pop()
    })
    .await;
    let late = SystemTime::try_from(sent.sent_at.unwrap()).unwrap().duration_since(due).unwrap();
    assert!(late < Duration::from_millis(400), "{late:?} late");
}

/// Makes a schedule that is due in a while; when.
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
async fn a_cut_connection_is_resumed_from_the_last_cursor(backend: Backend) {
    const COUNT: usize = 200;
    let nats = Nats::start().await;
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let mut cut = Replica::start(&fixture, &nats.url()).await;
    let other = replica(&fixture, &nats.url()).await;
    let mut stream = subscribe(&cut.client(), "").await;
    let writer = tokio::spawn({
        let (other, chat) = (other.clone(), chat.clone());
        async move {
            for n in 0..COUNT {
                say(&other, &chat, &n.to_string()).await;
            }
        }
    });
    let mut heard = Vec::new();
    let mut cursor = String::new();
    while heard.len() < COUNT {
        if heard.len() == COUNT / 4 {
            cut.process.kill().await;
        }
        match stream.message().await {
            Ok(Some(next)) => {
                let message = next.message.unwrap();
                cursor = message.cursor;
                heard.push(message.body);
            }
            // What was on the way when it was cut may still come first.
            Ok(None) | Err(_) => stream = subscribe(&other, &cursor).await,
        }
    }
    writer.await.unwrap();
    let sent: Vec<_> = (0..COUNT).map(|n| n.to_string()).collect();
    assert!(heard == sent, "each once, in order: {heard:?}");
}

#[tokio::test]
async fn a_bus_that_cannot_be_is_refused_before_anything_listens() {
    let env = [("DATABASE_URL", "sqlite:x.db"), ("CHAT_BUS", "redis://me:s3cret@bus")];
    let mut process = Process::start(CHAT, &["serve"], &env);
    assert_eq!(process.ended().await.code(), Some(2));
    let said = eventually("it says why", async || {
        let said = process.output().join("\n");
        said.contains("try '--help'").then_some(said)
    })
    .await;
    assert!(said.contains("'--bus <URL>': unsupported scheme 'redis'"), "{said}");
    assert!(!said.contains("s3cret") && !said.contains("listens"), "{said}");
}
