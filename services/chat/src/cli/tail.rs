//! `chat tail`: messages as they arrive, across lost connections and restarts of the service.

use std::{collections::HashMap, process::ExitCode, time::Duration};

use api::chat::v1::{Chat, ListMessagesRequest, Message, SubscribeRequest};
use clap::Args;
use cli::Failure;
use tonic::{Code, Status};
use wire::{convert::time, format_time};

use super::client_args::{Client, ClientArgs, escape_control, find_chat};

/// Between attempts to subscribe: the first and the longest.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];
/// Chats whose names are cached.
const MAX_CACHED_NAMES: usize = 1_000;

#[derive(Clone, Debug, Args)]
pub struct TailArgs {
    /// Jid or id of the chat; all chats if not given
    pub chat: Option<String>,
    /// Number of the chat's last messages to print first
    #[arg(long, short = 'n', default_value_t = 10, value_name = "COUNT")]
    pub last: i32,
    /// Start after the message with this cursor, as --json prints it
    #[arg(long, default_value = "", value_name = "CURSOR", conflicts_with = "last")]
    pub after: String,
    #[command(flatten)]
    pub client: ClientArgs,
}

pub(super) async fn tail(args: TailArgs) -> Result<ExitCode, Failure> {
    let mut client = args.client.client().await?;
    let followed = match &args.chat {
        Some(id_or_jid) => Some(find_chat(&mut client, id_or_jid).await?),
        None => None,
    };
    let mut tail = Tail {
        client,
        client_args: args.client,
        followed,
        after: args.after,
        names: HashMap::new(),
    };
    if tail.after.is_empty() {
        tail.print_last(args.last).await?;
    }
    let [mut pause, longest] = RETRY_DELAYS;
    loop {
        let has_messages = tail.follow().await?;
        pause = if has_messages { RETRY_DELAYS[0] } else { (pause * 2).min(longest) };
        tokio::time::sleep(pause).await;
    }
}

struct Tail {
    client: Client,
    client_args: ClientArgs,
    followed: Option<Chat>,
    /// The cursor of the last message that was printed.
    after: String,
    names: HashMap<String, String>,
}

impl Tail {
    /// Prints the chat's last messages, oldest first.
    async fn print_last(&mut self, count: i32) -> Result<(), Failure> {
        let Some(chat) = &self.followed else { return Ok(()) };
        // At least one, for its cursor: the stream begins after the newest message, also when the first
        // attempt to subscribe fails.
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
            self.print(message).await?;
        }
        Ok(())
    }

    /// Prints messages until the stream fails in a way that a retry may solve; true if there were any.
    async fn follow(&mut self) -> Result<bool, Failure> {
        let request = SubscribeRequest {
            chat_id: self.followed.as_ref().map(|chat| chat.id.clone()).unwrap_or_default(),
            after: self.after.clone(),
        };
        let mut has_messages = false;
        let failure = match self.client.subscribe(request).await {
            Err(status) => status,
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(next)) => {
                            let message = next.message.unwrap_or_default();
                            self.print(&message).await?;
                            self.after = message.cursor;
                            has_messages = true;
                        }
                        Ok(None) => break Status::unavailable("the stream ended"),
                        Err(status) => break status,
                    }
                }
            }
        };
        let is_transient =
            matches!(failure.code(), Code::Unavailable | Code::ResourceExhausted | Code::Unknown);
        if !is_transient {
            return Err(failure.into());
        }
        let consequence = match self.after.is_empty() {
            true => "messages sent in the meantime are not printed",
            false => "no message is skipped",
        };
        self.client_args
            .output
            .note(format!("stream lost ({}); subscribing again, {consequence}", failure.message()));
        Ok(has_messages)
    }

    async fn print(&mut self, message: &Message) -> Result<(), Failure> {
        let mut line = sent_at(message);
        if self.followed.is_none() && !self.client_args.output.json {
            line = format!("{line}  {}", self.name(&message.chat_id).await);
        }
        let (sender, body) = (escape_control(&message.sender), escape_control(&message.body));
        self.client_args.output.result(message, &format!("{line}  {sender}: {body}"))?;
        Ok(())
    }

    /// The name of a chat, else its jid; its id if it cannot be read.
    async fn name(&mut self, id: &str) -> String {
        if let Some(name) = self.names.get(id) {
            return name.clone();
        }
        let name = match find_chat(&mut self.client, id).await {
            Ok(chat) if chat.name.is_empty() => escape_control(&chat.jid),
            Ok(chat) => escape_control(&chat.name),
            Err(_) => id.to_owned(),
        };
        if self.names.len() >= MAX_CACHED_NAMES {
            self.names.clear();
        }
        self.names.insert(id.to_owned(), name.clone());
        name
    }
}

pub(super) fn sent_at(message: &Message) -> String {
    let at = message.sent_at.and_then(time);
    at.map(format_time).unwrap_or_default()
}
