//! A bot that says back what it hears: `cargo run -p chat --example echo_bot -- JID`.
//!
//! It finds its bot, or makes it, puts it into the chat, and answers for as long as it runs, over a
//! restart of the service too. `CHAT_URL` says where that is, if not on this machine.

use std::{env, error::Error, time::Duration};

use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, CreateBotRequest, GetChatRequest, ListBotsRequest,
    WorkRequest,
    bot_service_client::BotServiceClient,
    chat_service_client::ChatServiceClient,
    get_chat_request::Key,
    work_request::{Answer, Attend, Request},
};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

const TYPE: &str = "echo";
/// The pause before it calls again, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(8);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let jid = env::args().nth(1).ok_or("which chat? echo_bot JID")?;
    let url = env::var("CHAT_URL").unwrap_or_else(|_| "http://127.0.0.1:50052".into());
    // An address that vanished without a word is noticed.
    let endpoint = Endpoint::from_shared(url)?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(20));
    let channel = endpoint.connect_lazy();
    let mut pause = PAUSE;
    loop {
        if let Err(error) = attend(&channel, &jid, &mut pause).await {
            eprintln!("echo_bot: {error}; again in {pause:?}");
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Answers until the stream ends.
async fn attend(channel: &Channel, jid: &str, pause: &mut Duration) -> Result<(), Box<dyn Error>> {
    let mut bots = BotServiceClient::new(channel.clone());
    sit_in(channel, &mut bots, jid).await?;
    let (says, said) = mpsc::channel(1);
    let mut told = bots.work(ReceiverStream::new(said)).await?.into_inner();
    let attend = Attend { r#type: TYPE.into(), ..Attend::default() };
    says.send(request(Request::Attend(attend))).await?;
    println!("echo_bot attends to {jid}");
    *pause = PAUSE;
    while let Some(told) = told.message().await? {
        let heard = told.message.unwrap_or_default();
        println!("{}: {}", heard.sender, heard.body.escape_debug());
        let answer =
            Answer { delivery_id: told.delivery_id, reply: heard.body, error: String::new() };
        says.send(request(Request::Answer(answer))).await?;
    }
    Ok(())
}

/// Puts the bot into the chat.
async fn sit_in(
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
            let made = bots.create_bot(CreateBotRequest { bot: Some(bot) }).await?;
            made.into_inner().bot.unwrap_or_default()
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
