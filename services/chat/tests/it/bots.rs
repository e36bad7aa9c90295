//! Bots through chat.v1.BotService: the resources, what is delivered, what becomes of answers.

mod crud;
mod failures;
mod fanout;
mod replicas;
mod shutdown;
mod worker;

use std::net::SocketAddr;

use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, CreateBotRequest, ListMessagesRequest,
    ListParkedDeliveriesRequest, Message, ParkedDelivery, WorkRequest, WorkResponse,
    bot_service_client::BotServiceClient,
    work_request::{Answer, Attend, Request},
};
use testing::{DEADLINE, channel, eventually};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use crate::fixture::Fixture;

fn client(address: SocketAddr) -> BotServiceClient<Channel> {
    BotServiceClient::new(channel(address))
}

fn bot(kind: &str) -> Bot {
    Bot { r#type: kind.into(), name: format!("the {kind}"), enabled: true, ..Bot::default() }
}

async fn create(fixture: &Fixture, bot: Bot) -> Result<Bot, Status> {
    let response = client(fixture.chat).create_bot(CreateBotRequest { bot: Some(bot) }).await?;
    Ok(response.into_inner().bot.unwrap())
}

fn assignment(chat_id: &str, bot: &Bot) -> Assignment {
    Assignment {
        chat_id: chat_id.into(),
        bot_id: bot.id.clone(),
        enabled: true,
        ..Assignment::default()
    }
}

async fn assign(fixture: &Fixture, assignment: Assignment) -> Result<Assignment, Status> {
    let request = AssignBotRequest { assignment: Some(assignment) };
    let response = client(fixture.chat).assign_bot(request).await?;
    Ok(response.into_inner().assignment.unwrap())
}

/// Creates a bot and assigns it to a chat.
async fn assigned_bot(fixture: &Fixture, chat_id: &str, kind: &str) -> Bot {
    let bot = create(fixture, bot(kind)).await.unwrap();
    assign(fixture, assignment(chat_id, &bot)).await.unwrap();
    bot
}

async fn messages(fixture: &Fixture, chat_id: &str) -> Vec<Message> {
    let request =
        ListMessagesRequest { chat_id: chat_id.into(), page_size: 1_000, ..Default::default() };
    fixture.client().list_messages(request).await.unwrap().into_inner().messages
}

/// Waits for replies to a message.
async fn replies(fixture: &Fixture, message: &Message, count: usize) -> Vec<Message> {
    eventually("the replies are stored", async || {
        let all = messages(fixture, &message.chat_id).await;
        let replies: Vec<Message> = all.into_iter().filter(|m| m.reply_to == message.id).collect();
        (replies.len() >= count).then_some(replies)
    })
    .await
}

async fn parked(fixture: &Fixture) -> Vec<ParkedDelivery> {
    let request = ListParkedDeliveriesRequest::default();
    let response = client(fixture.chat).list_parked_deliveries(request).await.unwrap();
    response.into_inner().deliveries
}

/// Number of deliveries that are neither answered nor deleted.
async fn open_deliveries(fixture: &Fixture) -> String {
    let count = fixture.database.column("select count(*) from bot_deliveries").await;
    count.into_iter().flatten().collect()
}

/// A worker that sends what the test tells it to; dropping it closes its stream.
struct Worker {
    requests: mpsc::Sender<WorkRequest>,
    responses: Streaming<WorkResponse>,
}

impl Worker {
    async fn attend(address: SocketAddr, kind: &str) -> Self {
        Self::attend_with(address, Attend { r#type: kind.into(), ..Attend::default() }).await
    }

    async fn attend_with(address: SocketAddr, attend: Attend) -> Self {
        let worker = Self::open(address).await;
        worker.request(Request::Attend(attend)).await;
        worker
    }

    async fn open(address: SocketAddr) -> Self {
        let (requests, stream) = mpsc::channel(64);
        let responses = client(address).work(ReceiverStream::new(stream)).await.unwrap();
        Self { requests, responses: responses.into_inner() }
    }

    async fn request(&self, request: Request) {
        self.requests.send(WorkRequest { request: Some(request) }).await.unwrap();
    }

    async fn next(&mut self) -> WorkResponse {
        let response = timeout(DEADLINE, self.responses.message()).await;
        response.expect("a delivery arrives").unwrap().expect("the stream is open")
    }

    /// Asserts that the next delivery is of this message, and answers it without a reply.
    async fn skip(&mut self, body: &str) {
        let next = self.next().await;
        assert_eq!(body_of(&next), body);
        self.reply(&next, "").await;
    }

    /// The status that ends its stream.
    async fn status(mut self) -> Status {
        let response = timeout(DEADLINE, self.responses.message()).await;
        response.expect("the stream ends").expect_err("with an error")
    }

    async fn reply(&self, to: &WorkResponse, reply: &str) {
        let (delivery_id, error) = (to.delivery_id.clone(), String::new());
        self.request(Request::Answer(Answer { delivery_id, reply: reply.into(), error })).await;
    }

    async fn fail(&self, delivery: &WorkResponse, error: &str) {
        let (delivery_id, reply) = (delivery.delivery_id.clone(), String::new());
        self.request(Request::Answer(Answer { delivery_id, reply, error: error.into() })).await;
    }

    /// Replies to every delivery until the stream ends.
    async fn echo(mut self) {
        while let Ok(Some(delivery)) = self.responses.message().await {
            let body = body_of(&delivery);
            self.reply(&delivery, &format!("{}: {body}", delivery.bot.as_ref().unwrap().name))
                .await;
        }
    }
}

fn body_of(delivery: &WorkResponse) -> &str {
    &delivery.message.as_ref().unwrap().body
}
