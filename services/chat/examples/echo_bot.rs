//! A bot that replies with the message it got: `cargo run -p chat --example echo_bot -- JID`.
//!
//! It creates its bot if there is none, assigns it to the chat and answers until it is stopped, also
//! across restarts of the service. `CHAT_URL` is the service's URL, by default on this machine.

use std::{env, error::Error, time::Duration};

use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, CreateBotRequest, GetChatRequest, ListBotsRequest,
    WorkRequest,
    bot_service_client::BotServiceClient,
    chat_service_client::ChatServiceClient,
    get_chat_request::Key,
    work_request::{Answer, Attend, Request},
};
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

const TYPE: &str = "echo";
const RECONNECT_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_max_delay(Duration::from_secs(8))
    .with_jitter()
    .without_max_times();

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let jid = env::args().nth(1).ok_or("usage: echo_bot JID")?;
    let url = env::var("CHAT_URL").unwrap_or_else(|_| "http://127.0.0.1:50052".into());
    // Pings detect a server that vanished without closing the connection.
    let endpoint = Endpoint::from_shared(url)?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(20));
    let channel = endpoint.connect_lazy();
    let mut backoff = RECONNECT_BACKOFF.build();
    loop {
        let result = work(&channel, &jid, &mut backoff).await;
        let delay = backoff.next().unwrap_or_default();
        if let Err(error) = result {
            eprintln!("echo_bot: {error}; reconnecting in {delay:?}");
        }
        sleep(delay).await;
    }
}

/// Answers until the stream ends. A stream that began resets the back-off.
async fn work(
    channel: &Channel,
    jid: &str,
    backoff: &mut ExponentialBackoff,
) -> Result<(), Box<dyn Error>> {
    let mut bots = BotServiceClient::new(channel.clone());
    assign(channel, &mut bots, jid).await?;
    let (requests, stream) = mpsc::channel(1);
    let mut deliveries = bots.work(ReceiverStream::new(stream)).await?.into_inner();
    let attend = Attend { r#type: TYPE.into(), ..Attend::default() };
    requests.send(request(Request::Attend(attend))).await?;
    println!("echo_bot works in {jid}");
    *backoff = RECONNECT_BACKOFF.build();
    while let Some(delivery) = deliveries.message().await? {
        let message = delivery.message.unwrap_or_default();
        println!("{}: {}", message.sender, message.body.escape_debug());
        let answer =
            Answer { delivery_id: delivery.delivery_id, reply: message.body, error: String::new() };
        requests.send(request(Request::Answer(answer))).await?;
    }
    Ok(())
}

/// Assigns the bot to the chat.
async fn assign(
    channel: &Channel,
    bots: &mut BotServiceClient<Channel>,
    jid: &str,
) -> Result<(), Box<dyn Error>> {
    let key = Some(Key::Jid(jid.into()));
    let found = ChatServiceClient::new(channel.clone()).get_chat(GetChatRequest { key }).await?;
    let chat = found.into_inner().chat.unwrap_or_default();
    let request = ListBotsRequest { r#type: TYPE.into(), page_size: 1, ..Default::default() };
    let bot = match bots.list_bots(request).await?.into_inner().bots.pop() {
        Some(bot) => bot,
        None => {
            let bot =
                Bot { r#type: TYPE.into(), name: "Echo".into(), enabled: true, ..Bot::default() };
            let created = bots.create_bot(CreateBotRequest { bot: Some(bot) }).await?;
            created.into_inner().bot.unwrap_or_default()
        }
    };
    let assignment =
        Assignment { chat_id: chat.id, bot_id: bot.id, enabled: true, ..Assignment::default() };
    bots.assign_bot(AssignBotRequest { assignment: Some(assignment) }).await?;
    Ok(())
}

fn request(request: Request) -> WorkRequest {
    WorkRequest { request: Some(request) }
}
