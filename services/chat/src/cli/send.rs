//! `chat send`.

use std::{io::Read as _, process::ExitCode};

use api::chat::v1::SendMessageRequest;
use clap::Args;
use cli::Failure;
use uuid::Uuid;

use super::{
    client_args::{ClientArgs, find_chat},
    tail::sent_at,
};

#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// Jid or id of the chat
    pub chat: String,
    /// Text of the message; `-` reads it from standard input
    pub text: String,
    /// Sender of the message
    #[arg(long, env = "CHAT_SENDER", value_name = "NAME", default_value = "chat-cli")]
    pub sender: String,
    /// Id of the message that this message replies to
    #[arg(long, default_value = "", value_name = "MESSAGE")]
    pub reply_to: String,
    /// Id of the message: a message that is sent again with the same id is stored once
    #[arg(long, value_name = "UUID", default_value_t = Uuid::now_v7())]
    pub id: Uuid,
    #[command(flatten)]
    pub client: ClientArgs,
}

pub(super) async fn send(args: SendArgs) -> Result<ExitCode, Failure> {
    let mut body = args.text;
    if body == "-" {
        body.clear();
        std::io::stdin()
            .read_to_string(&mut body)
            .map_err(|error| Failure::Local(format!("standard input: {error}").into()))?;
    }
    let mut client = args.client.client().await?;
    let request = SendMessageRequest {
        chat_id: find_chat(&mut client, &args.chat).await?.id,
        id: args.id.to_string(),
        sender: args.sender,
        body,
        reply_to: args.reply_to,
        metadata: None,
    };
    let sent = client.send_message(request).await?.into_inner().message.unwrap_or_default();
    args.client.output.result(&sent, &format!("{}  sent {}", sent_at(&sent), sent.id))?;
    Ok(ExitCode::SUCCESS)
}
