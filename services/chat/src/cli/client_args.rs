//! What the commands share that call a chat service.

use std::{future::Future, process::ExitCode};

use api::{
    Reason,
    chat::v1::{
        Chat, GetChatRequest, chat_service_client::ChatServiceClient, get_chat_request::Key,
    },
};
use clap::Args;
use cli::{Connection, Failure, Output};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// Advice if the service cannot be reached.
const UNREACHABLE_ADVICE: &str = "start it: chat serve --database-url postgres://user@host/database\n  \
     or give its URL: --chat-url http://host:50052, or CHAT_URL";

cli::client_args!(ChatClientArgs, "chat", "CHAT", "", "http://127.0.0.1:50052");

pub(super) type Client = ChatServiceClient<Connection>;

#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    #[command(flatten)]
    pub service: ChatClientArgs,
    #[command(flatten)]
    pub output: Output,
}

impl ClientArgs {
    /// Runs a command, prints its failure, if any, and returns the exit status.
    pub(super) async fn run(
        &self,
        command: impl Future<Output = Result<ExitCode, Failure>>,
    ) -> ExitCode {
        let report = |failure: Failure| failure.report("chat", advice(&failure), self.output);
        command.await.unwrap_or_else(report)
    }

    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        self.service.connect().await
    }

    pub(super) async fn client(&self) -> Result<Client, Failure> {
        Ok(ChatServiceClient::new(self.connect().await?))
    }
}

/// The chat with this id or jid.
pub(super) async fn find_chat(client: &mut Client, id_or_jid: &str) -> Result<Chat, Failure> {
    let key = match Uuid::parse_str(id_or_jid) {
        Ok(id) => Key::Id(id.to_string()),
        Err(_) => Key::Jid(id_or_jid.into()),
    };
    let response = client.get_chat(GetChatRequest { key: Some(key) }).await?;
    Ok(response.into_inner().chat.unwrap_or_default())
}

/// A caller's text for a terminal, with control characters escaped: they could move the cursor.
pub(super) fn escape_control(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn advice(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Unreachable { .. } => Some(UNREACHABLE_ADVICE.into()),
        Failure::Refused(status) if status.code() == Code::Unimplemented => {
            Some("check that the URL is that of a chat service of this build".into())
        }
        Failure::Refused(status) => {
            let info = status.get_details_error_info()?;
            if info.reason == Reason::ChatNotFound.as_str() {
                return Some(
                    "run \"chat list\" to list the chats, \"chat create JID\" to create one".into(),
                );
            }
            cli::advice("chat", "", &info.reason, &info.metadata)
        }
        Failure::Local(_) | Failure::Output(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape_control("a\u{1b}[2Jb\nc é🦀"), "a\\u{1b}[2Jb\\nc é🦀");
    }
}
