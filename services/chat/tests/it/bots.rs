//! Bots, through chat.v1.BotService: who they are, what reaches them, what becomes of answers.

mod crud;
mod ending;
mod failing;
mod hearing;
mod replicas;
mod working;

use std::{net::SocketAddr, time::Duration};

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

/// A bot of a type that sits in a chat.
async fn sitting(fixture: &Fixture, chat_id: &str, kind: &str) -> Bot {
    let bot = create(fixture, bot(kind)).await.unwrap();
    assign(fixture, assignment(chat_id, &bot)).await.unwrap();
    bot
}

async fn messages(fixture: &Fixture, chat_id: &str) -> Vec<Message> {
    let request =
        ListMessagesRequest { chat_id: chat_id.into(), page_size: 1_000, ..Default::default() };
    fixture.client().list_messages(request).await.unwrap().into_inner().messages
}

/// What was said in reply to a message, once it is.
async fn replies(fixture: &Fixture, to: &Message, count: usize) -> Vec<Message> {
    eventually("the replies are there", async || {
        let all = messages(fixture, &to.chat_id).await;
        let replies: Vec<Message> = all.into_iter().filter(|m| m.reply_to == to.id).collect();
        (replies.len() >= count).then_some(replies)
    })
    .await
}

async fn parked(fixture: &Fixture) -> Vec<ParkedDelivery> {
    let request = ListParkedDeliveriesRequest::default();
    let response = client(fixture.chat).list_parked_deliveries(request).await.unwrap();
    response.into_inner().deliveries
}

/// How many deliveries are on their way.
async fn waiting(fixture: &Fixture) -> String {
    let count = fixture.database.column("select count(*) from bot_deliveries").await;
    count.into_iter().flatten().collect()
}

/// A worker that does as the test says; it hangs up when it is dropped.
struct Worker {
    says: mpsc::Sender<WorkRequest>,
    told: Streaming<WorkResponse>,
}

impl Worker {
    async fn attend(address: SocketAddr, kind: &str) -> Self {
        Self::attend_as(address, Attend { r#type: kind.into(), ..Attend::default() }).await
    }

    async fn attend_as(address: SocketAddr, attend: Attend) -> Self {
        let worker = Self::open(address).await;
        worker.say(Request::Attend(attend)).await;
        worker
    }

    async fn open(address: SocketAddr) -> Self {
        let (says, said) = mpsc::channel(64);
        let told = client(address).work(ReceiverStream::new(said)).await.unwrap();
        Self { says, told: told.into_inner() }
    }

    async fn say(&self, request: Request) {
        self.says.send(WorkRequest { request: Some(request) }).await.unwrap();
    }

    async fn next(&mut self) -> WorkResponse {
        let told = timeout(DEADLINE, self.told.message()).await.expect("a delivery comes");
        told.unwrap().expect("it goes on")
    }

    /// That nothing comes, for as long as something might.
    async fn is_idle(&mut self) {
        let told = timeout(Duration::from_millis(300), self.told.message()).await;
        assert!(told.is_err(), "{told:?}");
    }

    /// Why its stream ended.
    async fn refused(mut self) -> Status {
        timeout(DEADLINE, self.told.message()).await.expect("it ends").expect_err("as refused")
    }

    async fn reply(&self, to: &WorkResponse, reply: &str) {
        let (delivery_id, error) = (to.delivery_id.clone(), String::new());
        self.say(Request::Answer(Answer { delivery_id, reply: reply.into(), error })).await;
    }

    async fn fail(&self, at: &WorkResponse, error: &str) {
        let (delivery_id, reply) = (at.delivery_id.clone(), String::new());
        self.say(Request::Answer(Answer { delivery_id, reply, error: error.into() })).await;
    }

    /// Replies to whatever comes, until the stream ends.
    async fn echo(mut self) {
        while let Ok(Some(told)) = self.told.message().await {
            let body = &told.message.as_ref().unwrap().body;
            self.reply(&told, &format!("{}: {body}", told.bot.as_ref().unwrap().name)).await;
        }
    }
}

fn body(told: &WorkResponse) -> &str {
    &told.message.as_ref().unwrap().body
}
