//! `chat list` and `chat create`.

use std::process::ExitCode;

use api::chat::v1::{Chat, ChatType, CreateChatRequest, ListChatsRequest};
use clap::{Args, ValueEnum};
use cli::Failure;
use wire::{convert::time, format_time};

use super::client_args::{ClientArgs, escape_control};

#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// List chats of this type only
    #[arg(long, value_name = "TYPE")]
    pub r#type: Option<Kind>,
    /// Maximum number of chats to list
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub limit: usize,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// Address of the chat in the messenger, such as 491701234567@s.whatsapp.net
    pub jid: String,
    /// Name of the chat
    #[arg(long, default_value = "")]
    pub name: String,
    /// Type of the chat
    #[arg(long, value_name = "TYPE")]
    pub r#type: Option<Kind>,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Two people
    Private,
    /// Several people who write
    Group,
    /// One person who writes, many who read
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

pub(super) async fn list(args: &ListArgs) -> Result<ExitCode, Failure> {
    let mut client = args.client.client().await?;
    let (mut left, mut page_token) = (args.limit, String::new());
    let mut is_empty = args.limit > 0;
    while left > 0 {
        let page_size = i32::try_from(left.min(1_000)).unwrap_or(i32::MAX);
        let request =
            ListChatsRequest { page_size, page_token, r#type: Kind::wire(args.r#type).into() };
        let page = client.list_chats(request).await?.into_inner();
        for chat in page.chats.iter().take(left) {
            args.client.output.result(chat, &format_chat(chat))?;
            is_empty = false;
        }
        left -= page.chats.len().min(left);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if is_empty {
        args.client.output.note("no chats; run \"chat create JID\" to create one");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn create(args: CreateArgs) -> Result<ExitCode, Failure> {
    let chat = Chat {
        jid: args.jid,
        name: args.name,
        r#type: Kind::wire(args.r#type).into(),
        ..Chat::default()
    };
    let request = CreateChatRequest { chat: Some(chat) };
    let created = args.client.client().await?.create_chat(request).await?.into_inner();
    let chat = created.chat.unwrap_or_default();
    args.client.output.result(&chat, &format_chat(&chat))?;
    Ok(ExitCode::SUCCESS)
}

/// `2026-01-01T12:00:00Z  group    a@g.us  Friends`.
fn format_chat(chat: &Chat) -> String {
    let last = chat.last_message_at.and_then(time);
    let last = last.map_or_else(|| "-".into(), format_time);
    let kind = match chat.r#type() {
        ChatType::Unspecified => "-",
        ChatType::Private => "private",
        ChatType::Group => "group",
        ChatType::Channel => "channel",
    };
    let (jid, name) = (escape_control(&chat.jid), escape_control(&chat.name));
    format!("{last:<20}  {kind:<7}  {jid}  {name}").trim_end().into()
}
