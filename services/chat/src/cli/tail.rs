//! `chat tail`: messages as they come, over lost connections and replicas that restart.

use std::{collections::HashMap, process::ExitCode, time::Duration};

use api::chat::v1::{Chat, ListMessagesRequest, Message, SubscribeRequest};
use clap::Args;
use cli::Failure;
use tonic::{Code, Status};
use wire::convert::time;

use super::asking::{Asking, Client, chat, harmless};

/// The pauses before a stream that broke is asked for anew: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];
/// Chats whose names are remembered.
const NAMES: usize = 1_000;

/// What to follow.
#[derive(Clone, Debug, Args)]
pub struct TailArgs {
    /// The chat: its jid, or its id. Every chat, if not given.
    pub chat: Option<String>,
    /// How many of the chat's last messages are shown first.
    #[arg(long, short = 'n', default_value_t = 10, value_name = "COUNT")]
    pub last: i32,
    /// Start after this message, by its cursor, as --json prints it.
    #[arg(long, default_value = "", value_name = "CURSOR", conflicts_with = "last")]
    pub after: String,
    /// Whom to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// `chat tail`.
pub(super) async fn tail(args: TailArgs) -> Result<ExitCode, Failure> {
    let mut client = args.asking.client().await?;
    let followed = match &args.chat {
        Some(meant) => Some(chat(&mut client, meant).await?),
        None => None,
    };
    let mut tail =
        Tail { client, asking: args.asking, followed, after: args.after, names: HashMap::new() };
    if tail.after.is_empty() {
        tail.last(args.last).await?;
    }
    let [mut pause, longest] = PAUSES;
    loop {
        let heard = tail.follow().await?;
        pause = if heard { PAUSES[0] } else { (pause * 2).min(longest) };
        tokio::time::sleep(pause).await;
    }
}

struct Tail {
    client: Client,
    asking: Asking,
    followed: Option<Chat>,
    /// The cursor of the last message that was shown.
    after: String,
    names: HashMap<String, String>,
}

impl Tail {
    /// Shows the chat's last messages, oldest first.
    async fn last(&mut self, count: i32) -> Result<(), Failure> {
        let Some(chat) = &self.followed else { return Ok(()) };
        // One at least: live is after the newest, also where the first stream breaks at once.
        let request = ListMessagesRequest {
            chat_id: chat.id.clone(),
            page_size: count.max(1),
            page_token: String::new(),
        };
        let messages = self.client.list_messages(request).await?.into_inner().messages;
        if let Some(newest) = messages.first() {
            self.after.clone_from(&newest.cursor);
        }
        let shown = usize::try_from(count).unwrap_or_default();
        for message in messages.iter().take(shown).rev() {
            self.show(message).await?;
        }
        Ok(())
    }

    /// Shows what comes until the stream breaks in a way that may pass; whether anything came.
    async fn follow(&mut self) -> Result<bool, Failure> {
        let request = SubscribeRequest {
            chat_id: self.followed.as_ref().map(|chat| chat.id.clone()).unwrap_or_default(),
            after: self.after.clone(),
        };
        let mut heard = false;
        let broken = match self.client.subscribe(request).await {
            Err(status) => status,
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(next)) => {
                            let message = next.message.unwrap_or_default();
                            self.show(&message).await?;
                            self.after = message.cursor;
                            heard = true;
                        }
                        Ok(None) => break Status::unavailable("the stream ended"),
                        Err(status) => break status,
                    }
                }
            }
        };
        let passes =
            matches!(broken.code(), Code::Unavailable | Code::ResourceExhausted | Code::Unknown);
        if !passes {
            return Err(broken.into());
        }
        let from = match self.after.is_empty() {
            true => "what is said meanwhile is not shown",
            false => "nothing will be left out",
        };
        self.asking.output.note(format!("lost ({}); trying again, {from}", broken.message()));
        Ok(heard)
    }

    async fn show(&mut self, message: &Message) -> Result<(), Failure> {
        let mut line = clock(message);
        if self.followed.is_none() && !self.asking.output.json {
            line = format!("{line}  {}", self.name(&message.chat_id).await);
        }
        let (sender, body) = (harmless(&message.sender), harmless(&message.body));
        self.asking.output.result(message, &format!("{line}  {sender}: {body}"))?;
        Ok(())
    }

    /// What a chat is called; its id, where nobody can say.
    async fn name(&mut self, id: &str) -> String {
        if let Some(name) = self.names.get(id) {
            return name.clone();
        }
        let name = match chat(&mut self.client, id).await {
            Ok(chat) if chat.name.is_empty() => harmless(&chat.jid),
            Ok(chat) => harmless(&chat.name),
            Err(_) => id.to_owned(),
        };
        if self.names.len() >= NAMES {
            self.names.clear();
        }
        self.names.insert(id.to_owned(), name.clone());
        name
    }
}

/// When a message was sent: `2026-01-01 12:00:00Z`.
pub(super) fn clock(message: &Message) -> String {
    let at = message.sent_at.and_then(time);
    at.map(|at| at.format("%F %TZ").to_string()).unwrap_or_default()
}
