//! Random, oversized and malformed input for every rpc.

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

/// Random inputs of each kind, for each rpc and round.
const INPUTS_PER_KIND: usize = 5;
/// How much the services may grow, in MiB.
const MAX_GROWTH: u64 = 96;

/// The rpcs of these packages.
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

/// Sends the inputs of one round to an rpc; returns how many.
async fn send_inputs(
    wire: &Wire,
    method: &MethodDescriptor,
    vocabulary: &[String],
    round: u64,
) -> usize {
    let path = path(method);
    let mut hasher = DefaultHasher::new();
    (&path, round).hash(&mut hasher);
    let mut random = Random::new(hasher.finish(), vocabulary.to_vec());
    let input = method.input();
    let mut bodies = Vec::new();
    for _ in 0..INPUTS_PER_KIND {
        bodies.push(framed(&random.bytes(200)));
        bodies.push(framed(&random.message(&input).encode_to_vec()));
        bodies.push(framed(&random.mangled(&input)));
        bodies.push(random.bytes(64));
        // Several messages in one call, the last one truncated.
        let one = framed(&random.message(&input).encode_to_vec());
        bodies.push([&one[..], &one, &one[..one.len() / 2]].concat());
    }
    bodies.extend(malformed());
    let sent = bodies.len();
    for (index, body) in bodies.into_iter().enumerate() {
        let answer = wire.send(&path, body, !method.is_server_streaming()).await;
        answer.assert_fault_of_caller(&format!("{path}, round {round}, input {index}"));
    }
    sent
}

/// Bytes that are not a message of any type.
fn malformed() -> Vec<Vec<u8>> {
    /// The largest message that tonic decodes.
    const MAX_MESSAGE: usize = 4 * 1024 * 1024;
    let text = |length: usize| {
        let mut message = vec![0x0a];
        prost::encode_length_delimiter(length, &mut message).expect("there is room");
        message.resize(message.len() + length, b'x');
        message
    };
    vec![
        Vec::new(),
        // The compressed flag, and an invalid flag.
        flagged(1, b"\x0a\x01x"),
        flagged(0xff, b"\x0a\x01x"),
        // A declared length of 4 GiB.
        vec![0, 0xff, 0xff, 0xff, 0xff, 0x0a],
        // A truncated frame header.
        vec![0, 0, 0],
        framed(&text(MAX_MESSAGE + 1)),
        // Of maximum size: one text, and one field repeated.
        framed(&text(MAX_MESSAGE - 5)),
        framed(&[0x0a, 0].repeat(MAX_MESSAGE / 2)),
        // Deeply nested groups.
        framed(&[0x7b].repeat(100_000)),
        // An endless varint, a length beyond the end, and text that is not UTF-8.
        framed(&[0xff].repeat(64)),
        framed(b"\x0a\xff\xff\xff\x7f"),
        framed(b"\x0a\x02\xff\xfe"),
    ]
}

/// Sends requests that are not gRPC calls.
async fn send_other_requests(wire: &Wire, path: &str) -> usize {
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
        wire.request(request, false)
            .await
            .assert_fault_of_caller(&format!("{path}, request {index}"));
    }
    sent
}

async fn send_all(target: &Target, wire: &Wire, packages: &[&str], vocabulary: &[String]) {
    let methods = methods(packages);
    assert!(!methods.is_empty());
    let (mut sent, mut before) = (0, None);
    for round in 0..rounds() {
        let sending = methods.iter().map(|method| send_inputs(wire, method, vocabulary, round));
        sent += join_all(sending).await.into_iter().sum::<usize>();
        let requests =
            methods.iter().map(async |method| send_other_requests(wire, &path(method)).await);
        sent += join_all(requests).await.into_iter().sum::<usize>();
        target.has_not_panicked();
        // The first round fills pools, caches and the allocator.
        before.get_or_insert_with(|| target.resident());
    }
    let (before, after) = (before.unwrap_or_default(), target.resident());
    println!(
        "{sent} inputs for {} rpcs of {packages:?}; {before} MiB, then {after}",
        methods.len()
    );
    assert!(after < before + MAX_GROWTH, "it grew from {before} to {after} MiB");
}

#[apply(both!)]
async fn the_chat_service_survives_any_input(backend: Backend) {
    let database = backend.at_head().await;
    let target = Target::on(&database).await;
    let vocabulary = vocabulary(&target).await;
    let wire = Wire::to(target.chat_address);
    send_all(&target, &wire, &["chat.v1", "gate.v1"], &vocabulary).await;
    target.serves().await;
    // A valid call is still served.
    let chat = Chat { jid: "after".into(), ..Chat::default() };
    let mut chats = ChatServiceClient::new(channel(target.chat_address));
    chats.create_chat(CreateChatRequest { chat: Some(chat) }).await.expect("it is served");
}

#[apply(both!)]
async fn the_schema_service_survives_any_input(backend: Backend) {
    let database: TestDatabase = backend.at_head().await;
    let target = Target::on(&database).await;
    let known = ["", "head", "base", "0001", "0004", "00", "+1", "-1", "-2", "echo"];
    let vocabulary: Vec<String> = known.map(String::from).to_vec();
    let wire = Wire::to(target.schema_address);
    send_all(&target, &wire, &["schema.v1"], &vocabulary).await;
    // The inputs may have moved the schema to any revision.
    let state: SchemaState = current(target.schema_address).await;
    assert!(!state.head.is_empty(), "{state:?}");
}

/// Values that are valid in some field of the chat service.
async fn vocabulary(target: &Target) -> Vec<String> {
    let channel = channel(target.chat_address);
    let mut chats = ChatServiceClient::new(channel.clone());
    let mut bots = BotServiceClient::new(channel);
    let mut vocabulary: Vec<String> = [
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
        let chat = chat.expect("it is created").into_inner().chat.expect("it is returned");
        let bot = Bot { r#type: "echo".into(), name: jid.into(), enabled: true, ..Bot::default() };
        let bot = bots.create_bot(CreateBotRequest { bot: Some(bot) }).await;
        let bot = bot.expect("it is created").into_inner().bot.expect("it is returned");
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
        let message = message.expect("it is returned");
        vocabulary.extend([jid.into(), chat.id, bot.id, message.id, message.cursor]);
    }
    vocabulary
}
