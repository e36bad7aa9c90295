//! `chat list` and `chat create`.

use std::process::ExitCode;

use api::chat::v1::{Chat, ChatType, CreateChatRequest, ListChatsRequest};
use clap::{Args, ValueEnum};
use cli::Failure;
use wire::convert::time;

use super::asking::{Asking, harmless};

/// Which chats to list.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Only these.
    #[arg(long, value_name = "TYPE")]
    pub r#type: Option<Kind>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    /// Whom to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// What to make.
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// The chat's address in the messenger, such as 491701234567@s.whatsapp.net.
    pub jid: String,
    /// What people call it.
    #[arg(long, default_value = "")]
    pub name: String,
    /// What kind of chat it is.
    #[arg(long, value_name = "TYPE")]
    pub r#type: Option<Kind>,
    /// Whom to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// The kind of a chat.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Two people.
    Private,
    /// Many who write.
    Group,
    /// One who writes, many who read.
    Channel,
}

impl Kind {
    const fn wire(kind: Option<Self>) -> ChatType {
        match kind {
            None => ChatType::Unspecified,
            Some(Self::Private) => ChatType::Private,
            Some(Self::Group) => ChatType::Group,
            Some(Self::Channel) => ChatType::Channel,
        }
    }
}

/// `chat list`: the chat with the newest message first.
pub(super) async fn list(args: &ListArgs) -> Result<ExitCode, Failure> {
    let mut client = args.asking.client().await?;
    let (mut left, mut page_token) = (args.limit, String::new());
    let mut none = args.limit > 0;
    while left > 0 {
        let page_size = i32::try_from(left.min(1_000)).unwrap_or(i32::MAX);
        let request =
            ListChatsRequest { page_size, page_token, r#type: Kind::wire(args.r#type).into() };
        let page = client.list_chats(request).await?.into_inner();
        for chat in page.chats.iter().take(left) {
            args.asking.output.result(chat, &words(chat))?;
            none = false;
        }
        left -= page.chats.len().min(left);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if none {
        args.asking.output.note("there is none: chat create JID makes one");
    }
    Ok(ExitCode::SUCCESS)
}

/// `chat create`.
pub(super) async fn create(args: CreateArgs) -> Result<ExitCode, Failure> {
    let chat = Chat {
        jid: args.jid,
        name: args.name,
        r#type: Kind::wire(args.r#type).into(),
        ..Chat::default()
    };
    let request = CreateChatRequest { chat: Some(chat) };
    let created = args.asking.client().await?.create_chat(request).await?.into_inner();
    let chat = created.chat.unwrap_or_default();
    args.asking.output.result(&chat, &words(&chat))?;
    Ok(ExitCode::SUCCESS)
}

/// `2026-01-01 12:00:00Z  group    a@g.us  Friends`.
fn words(chat: &Chat) -> String {
    let last = chat.last_message_at.and_then(time);
    let last = last.map_or_else(|| "-".into(), |at| at.format("%F %TZ").to_string());
    let kind = match chat.r#type() {
        ChatType::Unspecified => "-",
        ChatType::Private => "private",
        ChatType::Group => "group",
        ChatType::Channel => "channel",
    };
    let (jid, name) = (harmless(&chat.jid), harmless(&chat.name));
    format!("{last:<20}  {kind:<7}  {jid}  {name}").trim_end().into()
}
