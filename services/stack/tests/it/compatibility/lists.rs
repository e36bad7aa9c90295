//! Every list of both services, page by page, and cursors of messages.

use std::collections::BTreeMap;

use api::{
    chat::v1::{
        ChatType, ListBotsRequest, ListChatsRequest, ListMessagesRequest,
        ListParkedDeliveriesRequest, ListSchedulesRequest, Message, SubscribeRequest,
        bot_service_client::BotServiceClient, chat_service_client::ChatServiceClient,
        schedule_service_client::ScheduleServiceClient,
    },
    schema::v1::{
        ListOperationsRequest, ListRevisionsRequest, schema_service_client::SchemaServiceClient,
    },
};
use serde::{Deserialize, Serialize};
use testing::{DEADLINE, channel};
use tokio::time::timeout;

use super::Server;

/// Small enough that every list has several pages.
const PAGE_SIZE: i32 = 2;

/// A list that a service serves in pages.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    Chats,
    Groups,
    Messages,
    Bots,
    Schedules,
    ParkedDeliveries,
    Revisions,
    Operations,
}

/// One page: the token that leads to it, and its rows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Page {
    pub token: String,
    pub rows: Vec<String>,
}

/// Page tokens and cursors that a client may have kept.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Kept {
    /// The chat of the messages and cursors.
    pub chat_id: String,
    pub lists: BTreeMap<List, Vec<Page>>,
    /// The cursor of each message of the chat, oldest first, and the message's id.
    pub cursors: Vec<(String, String)>,
}

/// The servers that serve the lists.
#[derive(Clone, Copy)]
pub struct Servers<'a> {
    pub schema: &'a Server,
    pub chat: &'a Server,
}

impl List {
    pub const ALL: [Self; 8] = [
        Self::Chats,
        Self::Groups,
        Self::Messages,
        Self::Bots,
        Self::Schedules,
        Self::ParkedDeliveries,
        Self::Revisions,
        Self::Operations,
    ];

    /// The rows of the page that a token leads to, and the token of the next.
    pub async fn page(
        self,
        servers: Servers<'_>,
        chat_id: &str,
        token: &str,
    ) -> (Vec<String>, String) {
        let (page_size, page_token) = (PAGE_SIZE, token.to_owned());
        let schema = || SchemaServiceClient::new(channel(servers.schema.address));
        let chats = || ChatServiceClient::new(channel(servers.chat.address));
        let bots = || BotServiceClient::new(channel(servers.chat.address));
        match self {
            Self::Chats | Self::Groups => {
                let of = if self == Self::Groups { ChatType::Group } else { ChatType::Unspecified };
                let request = ListChatsRequest { page_size, page_token, r#type: of.into() };
                let page = chats().list_chats(request).await.unwrap().into_inner();
                (page.chats.into_iter().map(|chat| chat.jid).collect(), page.next_page_token)
            }
            Self::Messages => {
                let chat_id = chat_id.to_owned();
                let request = ListMessagesRequest { chat_id, page_size, page_token };
                let page = chats().list_messages(request).await.unwrap().into_inner();
                (page.messages.into_iter().map(|row| row.id).collect(), page.next_page_token)
            }
            Self::Bots => {
                let request = ListBotsRequest { page_size, page_token, ..Default::default() };
                let page = bots().list_bots(request).await.unwrap().into_inner();
                (page.bots.into_iter().map(|bot| bot.id).collect(), page.next_page_token)
            }
            Self::Schedules => {
                let request = ListSchedulesRequest { page_size, page_token, ..Default::default() };
                let mut client = ScheduleServiceClient::new(channel(servers.chat.address));
                let page = client.list_schedules(request).await.unwrap().into_inner();
                (page.schedules.into_iter().map(|row| row.id).collect(), page.next_page_token)
            }
            Self::ParkedDeliveries => {
                let request =
                    ListParkedDeliveriesRequest { page_size, page_token, ..Default::default() };
                let page = bots().list_parked_deliveries(request).await.unwrap().into_inner();
                let name = |row: api::chat::v1::ParkedDelivery| {
                    format!("{}/{}", row.message_id, row.bot_id)
                };
                (page.deliveries.into_iter().map(name).collect(), page.next_page_token)
            }
            Self::Revisions => {
                let request = ListRevisionsRequest { page_size, page_token };
                let page = schema().list_revisions(request).await.unwrap().into_inner();
                (page.revisions.into_iter().map(|row| row.revision).collect(), page.next_page_token)
            }
            Self::Operations => {
                let request = ListOperationsRequest { page_size, page_token };
                let page = schema().list_operations(request).await.unwrap().into_inner();
                (page.operations.into_iter().map(|row| row.id).collect(), page.next_page_token)
            }
        }
    }

    /// Reads all pages, each from the next of these servers in turn.
    pub async fn pages(self, servers: &[Servers<'_>], chat_id: &str) -> Vec<Page> {
        let mut pages = Vec::new();
        let mut token = String::new();
        for servers in servers.iter().cycle() {
            let (rows, next) = self.page(*servers, chat_id, &token).await;
            pages.push(Page { token, rows });
            token = next;
            if token.is_empty() {
                break;
            }
        }
        pages
    }
}

impl Kept {
    /// Reads all lists of the services.
    pub async fn of(servers: Servers<'_>, chat_id: &str) -> Self {
        let mut lists = BTreeMap::new();
        for list in List::ALL {
            lists.insert(list, list.pages(&[servers], chat_id).await);
        }
        let request = ListMessagesRequest {
            chat_id: chat_id.into(),
            page_size: 1_000,
            ..ListMessagesRequest::default()
        };
        let mut client = ChatServiceClient::new(channel(servers.chat.address));
        let messages = client.list_messages(request).await.unwrap().into_inner().messages;
        let cursors = messages.into_iter().rev().map(|row| (row.cursor, row.id)).collect();
        Self { chat_id: chat_id.into(), lists, cursors }
    }
}

/// The first messages of a subscription to a chat that starts after a cursor.
pub async fn subscribe(chat: &Server, chat_id: &str, after: &str, count: usize) -> Vec<Message> {
    let mut client = ChatServiceClient::new(channel(chat.address));
    let request = SubscribeRequest { chat_id: chat_id.into(), after: after.into() };
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    let mut messages = Vec::new();
    while messages.len() < count {
        let next = timeout(DEADLINE, stream.message()).await.expect("a message arrives");
        messages.push(next.unwrap().expect("the stream goes on").message.unwrap());
    }
    messages
}
