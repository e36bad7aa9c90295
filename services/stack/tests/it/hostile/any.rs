//! Every rpc is sent what no client of ours would send.

use std::{
    env,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use api::{
    chat::v1::{
        AssignBotRequest, Assignment, Bot, Chat, CreateBotRequest, CreateChatRequest,
        SendMessageRequest, bot_service_client::BotServiceClient,
        chat_service_client::ChatServiceClient,
    },
    schema::v1::SchemaState,
};
use futures_util::future::join_all;
use prost::Message as _;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use testing::{Backend, TestDatabase, apply, both, channel, current};
use tonic::{body::Body, codegen::http};

use super::{
    generate::Random,
    target::{Target, Wire, flagged, framed},
};

/// Random inputs of a kind, for each rpc and round.
const EACH: usize = 5;
/// What a service may hold more after it all, in MiB.
const GROWTH: u64 = 96;

/// The rpcs of the contract whose service has this package.
fn methods(packages: &[&str]) -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(api::DESCRIPTORS).expect("our own descriptors");
    let ours = pool.services().filter(|service| packages.contains(&service.package_name()));
    ours.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

fn rounds() -> u64 {
    env::var("HOSTILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2)
}

/// One rpc, one seed; how many inputs it was sent.
async fn feed(wire: &Wire, method: &MethodDescriptor, words: &[String], round: u64) -> usize {
    let path = path(method);
    let mut hasher = DefaultHasher::new();
    (&path, round).hash(&mut hasher);
    let mut random = Random::new(hasher.finish(), words.to_vec());
    let input = method.input();
    let mut bodies = Vec::new();
    for _ in 0..EACH {
        bodies.push(framed(&random.bytes(200)));
        bodies.push(framed(&random.message(&input).encode_to_vec()));
        bodies.push(framed(&random.mangled(&input)));
        bodies.push(random.bytes(64));
        // Several in one call, and the last of them cut off.
        let one = framed(&random.message(&input).encode_to_vec());
        bodies.push([&one[..], &one, &one[..one.len() / 2]].concat());
    }
    bodies.extend(unreadable());
    let sent = bodies.len();
    for (index, body) in bodies.into_iter().enumerate() {
        let answer = wire.send(&path, body, !method.is_server_streaming()).await;
        answer.is_fair(&format!("{path}, round {round}, input {index}"));
    }
    sent
}

/// What is no message of any type.
fn unreadable() -> Vec<Vec<u8>> {
    /// What tonic reads, at most.
    const LIMIT: usize = 4 * 1024 * 1024;
    let text = |length: usize| {
        let mut message = vec![0x0a];
        prost::encode_length_delimiter(length, &mut message).expect("there is room");
        message.resize(message.len() + length, b'x');
        message
    };
    vec![
        Vec::new(),
        // A flag that is compressed, and one that is none.
        flagged(1, b"\x0a\x01x"),
        flagged(0xff, b"\x0a\x01x"),
        // It says that it is 4 GiB long.
        vec![0, 0xff, 0xff, 0xff, 0xff, 0x0a],
        // It ends in its head.
        vec![0, 0, 0],
        framed(&text(LIMIT + 1)),
        // As large as it may be: one text, and a field over and over.
        framed(&text(LIMIT - 5)),
        framed(&[0x0a, 0].repeat(LIMIT / 2)),
        // Groups in each other without end.
        framed(&[0x7b].repeat(100_000)),
        // A varint without end, a length beyond the end, a text that is not UTF-8.
        framed(&[0xff].repeat(64)),
        framed(b"\x0a\xff\xff\xff\x7f"),
        framed(b"\x0a\x02\xff\xfe"),
    ]
}

/// A call that is none of gRPC's.
async fn strange(wire: &Wire, path: &str) -> usize {
    let requests = [
        http::Request::get(path),
        http::Request::post(path),
        http::Request::post(path).header("content-type", "application/json"),
        http::Request::post(path).header("content-type", "application/grpc+json"),
        http::Request::post(path)
            .header("content-type", "application/grpc")
            .header("grpc-encoding", "nonsense"),
        http::Request::post(path)
            .header("content-type", "application/grpc")
            .header("grpc-timeout", "99999999999999999999H"),
        http::Request::post(format!("{path}x")).header("content-type", "application/grpc"),
        http::Request::post("/../../etc/passwd").header("content-type", "application/grpc"),
    ];
    let sent = requests.len();
    for (index, request) in requests.into_iter().enumerate() {
        let request = request.body(Body::empty()).expect("a request");
        wire.request(request, false).await.is_fair(&format!("{path}, strange {index}"));
    }
    sent
}

async fn all(target: &Target, wire: &Wire, packages: &[&str], words: &[String]) {
    let methods = methods(packages);
    assert!(!methods.is_empty());
    let (mut sent, mut before) = (0, None);
    for round in 0..rounds() {
        let feeding = methods.iter().map(|method| feed(wire, method, words, round));
        sent += join_all(feeding).await.into_iter().sum::<usize>();
        let strange = methods.iter().map(async |method| strange(wire, &path(method)).await);
        sent += join_all(strange).await.into_iter().sum::<usize>();
        target.is_calm();
        // The first round fills what stays: pools, caches, the allocator's own.
        before.get_or_insert_with(|| target.resident());
    }
    let (before, after) = (before.unwrap_or_default(), target.resident());
    println!(
        "{sent} inputs for {} rpcs of {packages:?}; {before} MiB, then {after}",
        methods.len()
    );
    assert!(after < before + GROWTH, "it grew from {before} to {after} MiB");
}

#[apply(both!)]
async fn whatever_the_chat_service_is_sent_it_goes_on(backend: Backend) {
    let database = backend.at_head().await;
    let target = Target::on(&database).await;
    let words = words(&target).await;
    let wire = Wire::to(target.chat_address);
    all(&target, &wire, &["chat.v1", "gate.v1"], &words).await;
    target.serves().await;
    // Somebody who means well is served as ever.
    let chat = Chat { jid: "after".into(), ..Chat::default() };
    let mut chats = ChatServiceClient::new(channel(target.chat_address));
    chats.create_chat(CreateChatRequest { chat: Some(chat) }).await.expect("it goes on");
}

#[apply(both!)]
async fn whatever_the_schema_service_is_sent_it_goes_on(backend: Backend) {
    let database: TestDatabase = backend.at_head().await;
    let target = Target::on(&database).await;
    let known = ["", "head", "base", "0001", "0004", "00", "+1", "-1", "-2", "echo"];
    let words: Vec<String> = known.map(String::from).to_vec();
    let wire = Wire::to(target.schema_address);
    all(&target, &wire, &["schema.v1"], &words).await;
    // Where the schema stands now is anybody's guess; the service knows it.
    let state: SchemaState = current(target.schema_address).await;
    assert!(!state.head.is_empty(), "{state:?}");
}

/// Texts that mean something to the chat service.
async fn words(target: &Target) -> Vec<String> {
    let channel = channel(target.chat_address);
    let mut chats = ChatServiceClient::new(channel.clone());
    let mut bots = BotServiceClient::new(channel);
    let mut words: Vec<String> = [
        "",
        "echo",
        "* * * * *",
        "0 0 29 2 *",
        "Europe/Berlin",
        "UTC",
        "name",
        "metadata",
        "jid",
        "1.1.b",
        "01890a5d-ac96-774b-bcce-b302099a8057",
    ]
    .map(String::from)
    .to_vec();
    for jid in ["a@s.whatsapp.net", "b@g.us"] {
        let chat = Chat { jid: jid.into(), ..Chat::default() };
        let chat = chats.create_chat(CreateChatRequest { chat: Some(chat) }).await;
        let chat = chat.expect("it is made").into_inner().chat.expect("it is told");
        let bot = Bot { r#type: "echo".into(), name: jid.into(), enabled: true, ..Bot::default() };
        let bot = bots.create_bot(CreateBotRequest { bot: Some(bot) }).await;
        let bot = bot.expect("it is made").into_inner().bot.expect("it is told");
        let assignment = Assignment {
            chat_id: chat.id.clone(),
            bot_id: bot.id.clone(),
            enabled: true,
            ..Assignment::default()
        };
        let assigned = AssignBotRequest { assignment: Some(assignment) };
        bots.assign_bot(assigned).await.expect("it is assigned");
        let message = SendMessageRequest {
            chat_id: chat.id.clone(),
            sender: jid.into(),
            body: "x".into(),
            ..SendMessageRequest::default()
        };
        let message = chats.send_message(message).await.expect("it is sent").into_inner().message;
        let message = message.expect("it is told");
        words.extend([jid.into(), chat.id, bot.id, message.id, message.cursor]);
    }
    words
}
