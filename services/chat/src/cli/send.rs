//! `chat send`.

use std::{io::Read as _, process::ExitCode};

use api::chat::v1::SendMessageRequest;
use clap::Args;
use cli::Failure;
use uuid::Uuid;

use super::{
    asking::{Asking, chat},
    tail::clock,
};

/// What to send.
#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// The chat: its jid, or its id.
    pub chat: String,
    /// What to say; `-` reads it from standard input.
    pub text: String,
    /// Who says it.
    #[arg(long, env = "CHAT_SENDER", default_value = "chat-cli")]
    pub sender: String,
    /// The message that it answers, by id.
    #[arg(long, default_value = "", value_name = "MESSAGE")]
    pub reply_to: String,
    /// The message's own id, a UUID: sending it again stores nothing new.
    #[arg(long, default_value_t = Uuid::now_v7())]
    pub id: Uuid,
    /// Whom to ask.
    #[command(flatten)]
    pub asking: Asking,
}

/// `chat send`.
pub(super) async fn send(args: SendArgs) -> Result<ExitCode, Failure> {
    let mut body = args.text;
    if body == "-" {
        body.clear();
        std::io::stdin()
            .read_to_string(&mut body)
            .map_err(|error| Failure::Local(format!("standard input: {error}").into()))?;
    }
    let mut client = args.asking.client().await?;
    let request = SendMessageRequest {
        chat_id: chat(&mut client, &args.chat).await?.id,
        id: args.id.to_string(),
        sender: args.sender,
        body,
        reply_to: args.reply_to,
        metadata: None,
    };
    let sent = client.send_message(request).await?.into_inner().message.unwrap_or_default();
    args.asking.output.result(&sent, &format!("{}  sent {}", clock(&sent), sent.id))?;
    Ok(ExitCode::SUCCESS)
}
