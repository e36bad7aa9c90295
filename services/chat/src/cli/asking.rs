//! What the commands share that ask a chat service.

use std::{future::Future, process::ExitCode};

use api::chat::v1::{
    Chat, GetChatRequest, chat_service_client::ChatServiceClient, get_chat_request::Key,
};
use clap::Args;
use cli::{Connection, Failure, Output};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// Where nothing answers.
const START: &str = "start it: chat serve --database-url postgres://user@host/database\n  \
     or say where it is: --chat-url http://host:50052, or CHAT_URL";

cli::client_args!(ChatClientArgs, "chat", "CHAT", "", "http://127.0.0.1:50052");

/// The RPCs, at the other end of a connection.
pub(super) type Client = ChatServiceClient<Connection>;

/// Whom to ask.
#[derive(Clone, Debug, Args)]
pub struct Asking {
    /// The chat service.
    #[command(flatten)]
    pub service: ChatClientArgs,
    /// How the answer is printed.
    #[command(flatten)]
    pub output: Output,
}

impl Asking {
    /// Runs a command to its end: prints the failure, if it is one, and says with which status the
    /// process ends.
    pub(super) async fn run(
        &self,
        command: impl Future<Output = Result<ExitCode, Failure>>,
    ) -> ExitCode {
        let report = |failure: Failure| failure.report("chat", advice(&failure), self.output);
        command.await.unwrap_or_else(report)
    }

    /// A connection.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        self.service.connect().await
    }

    /// A client.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        Ok(ChatServiceClient::new(self.connect().await?))
    }
}

/// The chat that is meant by an id, or by a jid.
pub(super) async fn chat(client: &mut Client, meant: &str) -> Result<Chat, Failure> {
    let key = match Uuid::parse_str(meant) {
        Ok(id) => Key::Id(id.to_string()),
        Err(_) => Key::Jid(meant.into()),
    };
    let response = client.get_chat(GetChatRequest { key: Some(key) }).await?;
    Ok(response.into_inner().chat.unwrap_or_default())
}

/// Text of somebody else's, for a terminal: what would move its cursor is written out.
pub(super) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            harmless.extend(c.escape_default());
        } else {
            harmless.push(c);
        }
    }
    harmless
}

fn advice(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Unreachable { .. } => Some(START.into()),
        Failure::Refused(status) if status.code() == Code::Unimplemented => {
            Some("is that a chat service of this build?".into())
        }
        Failure::Refused(status) => {
            let info = status.get_details_error_info()?;
            if info.reason == "CHAT_NOT_FOUND" {
                return Some("chat list shows them, chat create JID makes one".into());
            }
            cli::advice("chat", &info.reason, &info.metadata)
        }
        Failure::Local(_) | Failure::Output(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_text_moves_the_cursor() {
        assert_eq!(harmless("a\u{1b}[2Jb\nc é🦀"), "a\\u{1b}[2Jb\\nc é🦀");
    }
}
