//! Content of a database: chats, messages, schedules, bots, and deliveries in every state.

use std::time::Duration;

use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, Chat, ChatType, CreateBotRequest, CreateChatRequest,
    CreateScheduleRequest, ListParkedDeliveriesRequest, Message, Schedule, SendMessageRequest,
    WorkRequest, WorkResponse,
    bot_service_client::BotServiceClient,
    chat_service_client::ChatServiceClient,
    schedule::When,
    schedule_service_client::ScheduleServiceClient,
    work_request::{Answer, Attend, Request},
};
use prost_types::{Struct, Value, value::Kind as ValueKind};
use testing::{DEADLINE, channel, eventually};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::Server;

/// Fills an empty database through a service that parks a delivery at its first failure; returns
/// the id of the chat that has most of the content.
pub async fn fill(chat: &Server) -> String {
    let mut chats = ChatServiceClient::new(channel(chat.address));
    let mut ids = Vec::new();
    for (jid, of) in [
        ("friends@g.us", ChatType::Group),
        ("ann@s.whatsapp.net", ChatType::Private),
        ("news@newsletter", ChatType::Channel),
        ("work@g.us", ChatType::Group),
        ("empty@g.us", ChatType::Group),
    ] {
        let metadata = Some(object("topic", jid));
        let chat = Chat { jid: jid.into(), name: jid.into(), metadata, ..Chat::default() };
        let chat = Some(Chat { r#type: of.into(), ..chat });
        let created = chats.create_chat(CreateChatRequest { chat }).await.unwrap();
        ids.push(created.into_inner().chat.unwrap().id);
    }
    for id in &ids[1..4] {
        send(&mut chats, id, "hello", "").await;
    }
    let chat_id = &ids[0];
    let first = send(&mut chats, chat_id, "Who brings the cake?", "").await;
    send(&mut chats, chat_id, "I do. 🍰\nTwo of them.", &first.id).await;

    let mut schedules = ScheduleServiceClient::new(channel(chat.address));
    let once = |year| {
        let time = prost_types::Timestamp::date(year, 1, 1).unwrap();
        Some(When::Once(time))
    };
    for (message, when, enabled) in [
        ("far away", once(2999), true),
        ("every new year", Some(When::Cron("0 0 1 1 *".into())), true),
        ("disabled", Some(When::Cron("* * * * *".into())), false),
    ] {
        let schedule = Schedule {
            chat_id: chat_id.clone(),
            message: message.into(),
            timezone: "Europe/Berlin".into(),
            metadata: Some(object("kind", message)),
            when,
            enabled,
            ..Schedule::default()
        };
        let request = CreateScheduleRequest { schedule: Some(schedule) };
        schedules.create_schedule(request).await.unwrap();
    }

    let mut bots = BotServiceClient::new(channel(chat.address));
    for kind in ["echo", "silent", "failing"] {
        let bot = Bot {
            r#type: kind.into(),
            name: format!("the {kind}"),
            config: Some(object("language", "en")),
            enabled: true,
            ..Bot::default()
        };
        let created = bots.create_bot(CreateBotRequest { bot: Some(bot) }).await.unwrap();
        let assignment = Assignment {
            chat_id: chat_id.clone(),
            bot_id: created.into_inner().bot.unwrap().id,
            config_override: Some(object("language", "de")),
            enabled: true,
            ..Assignment::default()
        };
        let request = AssignBotRequest { assignment: Some(assignment) };
        bots.assign_bot(request).await.unwrap();
    }
    for number in 0..3 {
        send(&mut chats, chat_id, &format!("question {number}"), "").await;
    }
    let mut echo = Worker::attend(&mut bots, "echo").await;
    let mut failing = Worker::attend(&mut bots, "failing").await;
    for _ in 0..3 {
        let delivery = echo.next().await;
        let reply = format!("echo: {}", delivery.message.unwrap().body);
        echo.answer(delivery.delivery_id, &reply, "").await;
        let delivery = failing.next().await;
        failing.answer(delivery.delivery_id, "", "out of order").await;
    }
    eventually("three deliveries are parked", async || {
        let request = ListParkedDeliveriesRequest::default();
        let parked = bots.list_parked_deliveries(request).await.unwrap().into_inner().deliveries;
        (parked.len() == 3).then_some(())
    })
    .await;
    // The first is leased to a worker that does not answer, the others wait.
    let mut silent = Worker::attend(&mut bots, "silent").await;
    silent.next().await;
    std::mem::forget(silent);
    chat_id.clone()
}

fn object(key: &str, value: &str) -> Struct {
    let value = Value { kind: Some(ValueKind::StringValue(value.into())) };
    Struct { fields: [(key.to_owned(), value)].into() }
}

pub async fn send(
    chats: &mut ChatServiceClient<Channel>,
    chat_id: &str,
    body: &str,
    reply_to: &str,
) -> Message {
    let request = SendMessageRequest {
        chat_id: chat_id.into(),
        sender: "ann@s.whatsapp.net".into(),
        body: body.into(),
        reply_to: reply_to.into(),
        metadata: Some(object("client", "test")),
        ..SendMessageRequest::default()
    };
    chats.send_message(request).await.unwrap().into_inner().message.unwrap()
}

/// A worker of one type that holds one delivery at a time, for up to an hour.
pub struct Worker {
    requests: mpsc::Sender<WorkRequest>,
    deliveries: Streaming<WorkResponse>,
}

impl Worker {
    pub async fn attend(bots: &mut BotServiceClient<Channel>, kind: &str) -> Self {
        let (requests, sent) = mpsc::channel(8);
        let lease = Some(Duration::from_secs(3_600).try_into().unwrap());
        let attend = Attend { r#type: kind.into(), lease, ..Attend::default() };
        requests.send(WorkRequest { request: Some(Request::Attend(attend)) }).await.unwrap();
        let deliveries = bots.work(ReceiverStream::new(sent)).await.unwrap().into_inner();
        Self { requests, deliveries }
    }

    pub async fn next(&mut self) -> WorkResponse {
        let next = timeout(DEADLINE, self.deliveries.message()).await;
        next.expect("a delivery arrives").unwrap().unwrap()
    }

    pub async fn answer(&self, delivery_id: String, reply: &str, error: &str) {
        let answer = Answer { delivery_id, reply: reply.into(), error: error.into() };
        self.requests.send(WorkRequest { request: Some(Request::Answer(answer)) }).await.unwrap();
    }
}
