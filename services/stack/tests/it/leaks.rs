//! Secrets are planted everywhere, and must appear in no log line (own crates at trace), no error
//! with its details and no metric.

mod refused;
mod steps;

use std::{collections::BTreeMap, net::SocketAddr};

use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, Chat, CreateBotRequest, CreateChatRequest,
    ImportChatsRequest, ListChatsRequest, SendMessageRequest, SubscribeRequest, WorkRequest,
    bot_service_client::BotServiceClient,
    chat_service_client::ChatServiceClient,
    work_request::{Answer, Attend, Request as Asked},
};
use prost_types::{Struct, Value, value::Kind};
use testing::{
    AccessFile, Backend, Nats, Process, Scrape, TestDatabase, apply, as_caller, both, call,
    channel, eventually,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, transport::Channel};

use crate::services::binary;

/// Part of every planted secret, including the tokens of callers.
const PLANTED: &str = "planted-secret";

/// Own crates at trace, others at their default level.
const LOG: (&str, &str) = (
    "LOG",
    "info,schema=trace,chat=trace,gate=trace,access=trace,cli=trace,database=trace,tls=trace,transport=trace,wire=trace,revisions=trace",
);

/// Both services with secrets in every place that has one.
struct Planted {
    schema: Process,
    chat: Process,
    metrics: [SocketAddr; 2],
    channel: Channel,
    database: TestDatabase,
    role: Option<String>,
    #[expect(dead_code, reason = "goes with the services")]
    others: (Nats, [AccessFile; 2]),
    errors: Vec<Status>,
}

impl Planted {
    async fn start(backend: Backend) -> Self {
        let database = backend.at_head().await;
        let (url, role) = with_password(&database).await;
        let nats = Nats::with_login("chat", PLANTED).await;
        let of_schema = AccessFile::of(&[("chat", "reader")]);
        let of_chat = AccessFile::of(&[("backend", "service")]);
        let file = |path: std::path::PathBuf| path.display().to_string();
        let env = [
            LOG,
            ("DATABASE_URL", &url),
            ("SCHEMA_ACCESS_FILE", &file(of_schema.path())),
            ("SCHEMA_METRICS_LISTEN", "127.0.0.1:0"),
        ];
        let mut schema = Process::start(binary("schema"), &["serve"], &env);
        let address = schema.address("schema").await;
        let env = [
            LOG,
            ("DATABASE_URL", &url),
            ("SCHEMA_URL", &format!("http://{address}")),
            ("SCHEMA_TOKEN_FILE", &file(of_schema.token_file("chat"))),
            ("CHAT_ACCESS_FILE", &file(of_chat.path())),
            ("CHAT_METRICS_LISTEN", "127.0.0.1:0"),
            ("CHAT_BUS", &nats.url()),
        ];
        let mut chat = Process::start(binary("chat"), &["serve"], &env);
        let channel = channel(chat.address("chat").await);
        let metrics = [schema.address("schema-metrics").await, chat.address("chat-metrics").await];
        let others = (nats, [of_schema, of_chat]);
        let mut planted =
            Self { schema, chat, metrics, channel, database, role, others, errors: Vec::new() };
        eventually("calls pass", async || planted.list("").await.ok()).await;
        planted.errors.clear();
        planted
    }

    fn chats(&self) -> ChatServiceClient<Channel> {
        ChatServiceClient::new(self.channel.clone())
    }

    async fn list(&self, page_token: &str) -> Result<(), Status> {
        let request = ListChatsRequest { page_token: page_token.into(), ..Default::default() };
        self.chats().list_chats(authorized(request)).await.map(drop)
    }

    async fn send(&mut self, request: SendMessageRequest) -> Option<String> {
        let sent = self.chats().send_message(authorized(request)).await;
        let sent = sent.map_err(|status| self.errors.push(status)).ok()?;
        Some(sent.into_inner().message.unwrap().id)
    }

    fn refused<T>(&mut self, answer: Result<T, Status>) {
        self.errors.push(answer.err().expect("it is refused"));
    }

    /// Everything that must not contain a secret, by place.
    async fn outputs(&self) -> BTreeMap<String, Vec<String>> {
        let mut outputs = BTreeMap::new();
        outputs.insert("schema's log".to_owned(), self.schema.history());
        outputs.insert("chat's log".to_owned(), self.chat.history());
        outputs.insert("errors".to_owned(), self.errors.iter().map(|e| format!("{e:?}")).collect());
        for metrics in self.metrics {
            let lines = Scrape::of(metrics).await.text.lines().map(Into::into).collect();
            outputs.insert(format!("metrics at {metrics}"), lines);
        }
        outputs
    }

    async fn end(self) {
        let Self { schema, chat, database, role, .. } = self;
        drop((schema, chat));
        if let Some(role) = role {
            let drop = format!(
                "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
            );
            database.execute(&drop).await;
        }
    }
}

fn authorized<T>(message: T) -> Request<T> {
    as_caller(Some("backend"), message)
}

/// A URL with a password, and its role.
async fn with_password(database: &TestDatabase) -> (String, Option<String>) {
    let Some((scheme, rest)) = database.url().split_once("://") else {
        return (database.url().into(), None);
    };
    let role = format!("leaks_{}", uuid::Uuid::now_v7().simple());
    database.execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{PLANTED}'")).await;
    let server = rest.split_once('@').map_or(rest, |(_, server)| server);
    (format!("{scheme}://{role}:{PLANTED}@{server}"), Some(role))
}

fn secret() -> Option<Struct> {
    let value = Value { kind: Some(Kind::StringValue(PLANTED.into())) };
    Some(Struct { fields: [("key".to_owned(), value)].into() })
}

/// Sends a message that is stored, and one for each reason to refuse it.
async fn messages(planted: &mut Planted) -> String {
    let chat = Chat { jid: "a@g.us".into(), name: PLANTED.into(), ..Chat::default() };
    let request = CreateChatRequest { chat: Some(Chat { metadata: secret(), ..chat.clone() }) };
    let made = planted.chats().create_chat(authorized(request.clone())).await.unwrap().into_inner();
    let chat_id = made.chat.unwrap().id;
    let again = planted.chats().create_chat(authorized(request)).await;
    planted.refused(again);

    let good = SendMessageRequest {
        chat_id: chat_id.clone(),
        sender: "me".into(),
        body: format!("{PLANTED} in a body"),
        metadata: secret(),
        ..SendMessageRequest::default()
    };
    let id = planted.send(good.clone()).await.unwrap();
    let elsewhere = uuid::Uuid::now_v7().to_string();
    let refusals = [
        SendMessageRequest { id, body: format!("{PLANTED}, otherwise"), ..good.clone() },
        SendMessageRequest { body: PLANTED.repeat(10_000), ..good.clone() },
        SendMessageRequest { body: PLANTED.repeat(400_000), ..good.clone() },
        SendMessageRequest { body: format!("{PLANTED}\0"), ..good.clone() },
        SendMessageRequest { chat_id: elsewhere.clone(), ..good.clone() },
        SendMessageRequest { reply_to: elsewhere, ..good.clone() },
        SendMessageRequest { sender: String::new(), ..good.clone() },
    ];
    let count = refusals.len();
    let before = planted.errors.len();
    for refused in refusals {
        planted.send(refused).await;
    }
    assert_eq!(planted.errors.len() - before, count, "{:?}", planted.errors);

    let rows = [chat, Chat { jid: "bad\0".into(), name: PLANTED.into(), ..Chat::default() }];
    let rows = rows.map(|chat| ImportChatsRequest { chat: Some(chat) });
    planted.chats().import_chats(authorized(tokio_stream::iter(rows))).await.unwrap();
    chat_id
}

/// Makes the database refuse a row, and then a table.
async fn database_errors(planted: &mut Planted, backend: Backend, chat_id: &str) {
    let forbid = match backend {
        Backend::Postgres => {
            "ALTER TABLE messages ADD CONSTRAINT no CHECK (position(repeat('no', 3) in body) = 0)"
        }
        Backend::Sqlite => {
            "CREATE TRIGGER no BEFORE INSERT ON messages WHEN instr(NEW.body, 'nonono') \
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
    };
    planted.database.execute(forbid).await;
    let request = SendMessageRequest {
        chat_id: chat_id.into(),
        sender: "me".into(),
        body: format!("{PLANTED} nonono"),
        ..SendMessageRequest::default()
    };
    assert_eq!(planted.send(request.clone()).await, None);
    planted.database.execute("ALTER TABLE messages RENAME TO other").await;
    assert_eq!(planted.send(request).await, None);
    planted.database.execute("ALTER TABLE other RENAME TO messages").await;
}

/// A bot with a secret in its configuration, a worker that answers with one, fails with one and
/// breaks the protocol, and a subscriber that disconnects.
async fn bots(planted: &mut Planted, chat_id: &str) {
    let subscribe = SubscribeRequest { chat_id: chat_id.into(), ..Default::default() };
    let stream = planted.chats().subscribe(authorized(subscribe)).await.unwrap().into_inner();
    let mut client = BotServiceClient::new(planted.channel.clone());
    let bot = Bot {
        name: "echo".into(),
        r#type: "echo".into(),
        config: secret(),
        enabled: true,
        ..Bot::default()
    };
    let created = client.create_bot(authorized(CreateBotRequest { bot: Some(bot.clone()) })).await;
    let assignment = Assignment {
        chat_id: chat_id.into(),
        bot_id: created.unwrap().into_inner().bot.unwrap().id,
        config_override: secret(),
        enabled: true,
        ..Assignment::default()
    };
    let request = AssignBotRequest { assignment: Some(assignment) };
    client.assign_bot(authorized(request)).await.unwrap();
    let unnamed = Bot { name: String::new(), ..bot };
    let refused = client.create_bot(authorized(CreateBotRequest { bot: Some(unnamed) })).await;
    planted.refused(refused);

    let (requests, sent) = mpsc::channel(4);
    let send = async |asked| requests.send(WorkRequest { request: Some(asked) }).await.unwrap();
    send(Asked::Attend(Attend { r#type: "echo".into(), ..Attend::default() })).await;
    let mut deliveries =
        client.work(authorized(ReceiverStream::new(sent))).await.unwrap().into_inner();
    for (reply, error) in [("", PLANTED), (PLANTED, "")] {
        let body = format!("{PLANTED} for a bot");
        let request = SendMessageRequest {
            chat_id: chat_id.into(),
            sender: "me".into(),
            body,
            ..SendMessageRequest::default()
        };
        planted.send(request).await.unwrap();
        let delivery_id = deliveries.message().await.unwrap().unwrap().delivery_id;
        send(Asked::Answer(Answer { delivery_id, reply: reply.into(), error: error.into() })).await;
    }
    eventually("the bot has answered", async || {
        let replies = "select body from messages where reply_to is not null";
        (!planted.database.column(replies).await.is_empty()).then_some(())
    })
    .await;
    drop((requests, deliveries, stream));

    let answer = Answer { reply: PLANTED.into(), error: PLANTED.into(), ..Answer::default() };
    let first = tokio_stream::once(WorkRequest { request: Some(Asked::Answer(answer)) });
    let mut deliveries = client.work(authorized(first)).await.unwrap().into_inner();
    let refused = deliveries.message().await;
    planted.refused(refused);
}

/// Calls that are not authorized or cannot be decoded.
async fn invalid_calls(planted: &mut Planted) {
    let mut metadata = Request::new(ListChatsRequest::default());
    metadata.metadata_mut().insert("authorization", format!("Basic {PLANTED}").parse().unwrap());
    let malformed = planted.chats().list_chats(metadata).await;
    planted.refused(malformed);
    let path = "/chat.v1.ChatService/ListChats";
    let unknown = call(planted.channel.clone(), path, Some("unknown")).await;
    planted.refused(unknown);
    let token = planted.list(PLANTED).await;
    planted.refused(token);
    let subscribe = SubscribeRequest { after: PLANTED.into(), ..SubscribeRequest::default() };
    let answer = planted.chats().subscribe(authorized(subscribe)).await;
    let answer = match answer {
        Ok(stream) => stream.into_inner().message().await.map(drop),
        Err(status) => Err(status),
    };
    planted.refused(answer);
}

#[apply(both!)]
async fn planted_secrets_appear_nowhere(backend: Backend) {
    let mut planted = Planted::start(backend).await;
    let chat_id = messages(&mut planted).await;
    bots(&mut planted, &chat_id).await;
    invalid_calls(&mut planted).await;
    database_errors(&mut planted, backend, &chat_id).await;

    let mut lines = 0;
    for (place, lines_there) in planted.outputs().await {
        lines += lines_there.len();
        let leaked: Vec<_> = lines_there.iter().filter(|line| line.contains(PLANTED)).collect();
        assert!(leaked.is_empty(), "{place}: {leaked:#?}");
    }
    assert!(lines > 100, "too little output to search: {lines} lines");
    planted.end().await;
}
