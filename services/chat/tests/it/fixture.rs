//! A chat service on a database of its own, with the schema service that opens its gate.

use std::{net::SocketAddr, num::NonZeroUsize};

use api::chat::v1::{
    Chat, ChatType, CreateChatRequest, GetChatRequest, ListChatsRequest, ListChatsResponse,
    Message, SendMessageRequest, SubscribeRequest, SubscribeResponse,
    chat_service_client::ChatServiceClient, get_chat_request::Key,
};

use revisions::Revision;
use testing::{Backend, TestDatabase, channel, eventually, health};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Channel};
use tonic_health::pb::health_check_response::ServingStatus;

/// Both services in this process; they end with it.
pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    pub(crate) schema: SocketAddr,
    pub(crate) chat: SocketAddr,
    stopping: CancellationToken,
}

impl Fixture {
    /// At head, with the gate open.
    pub(crate) async fn ready(backend: Backend) -> Self {
        let fixture = Self::on(backend.at_head().await).await;
        fixture.is(ServingStatus::Serving).await;
        fixture
    }

    /// On a database as it is, whatever the gate says.
    pub(crate) async fn on(database: TestDatabase) -> Self {
        Self::under(database, None).await
    }

    /// The same, where the schema service holds other revisions than the built-in ones.
    pub(crate) async fn under(database: TestDatabase, revisions: Option<Vec<Revision>>) -> Self {
        let stopping = CancellationToken::new();
        let url = database.url();
        let (listener, schema) = loopback().await;
        let config = schema::Config {
            step_grace: schema::STEP_GRACE,
            reflection: Default::default(),
            database: url.parse().unwrap(),
            upgrade_on_start: false,
            revisions,
        };
        tokio::spawn(schema::serve(config, listener, stopping.clone()));
        let (listener, chat) = loopback().await;
        let fixture = Self { database, schema, chat, stopping };
        tokio::spawn(chat::serve(fixture.config(), listener, fixture.stopping.clone()));
        fixture
    }

    /// A configuration for a chat service on this database.
    pub(crate) fn config(&self) -> chat::Config {
        let schema_url = format!("http://{}", self.schema).parse().unwrap();
        let mut config = chat::Config::new(self.database.url().parse().unwrap(), schema_url);
        config.limits.connections = const { NonZeroUsize::new(4).unwrap() };
        config
    }

    /// Waits until health says so.
    pub(crate) async fn is(&self, status: ServingStatus) {
        eventually(status.as_str_name(), async || {
            let said = health(self.chat, "chat.v1.ChatService").await;
            said.ok().filter(|said| *said == status)
        })
        .await;
    }

    pub(crate) fn client(&self) -> ChatServiceClient<Channel> {
        ChatServiceClient::new(channel(self.chat))
    }

    pub(crate) async fn create(&self, chat: Chat) -> Result<Chat, Status> {
        let request = CreateChatRequest { chat: Some(chat) };
        let response = self.client().create_chat(request).await?;
        Ok(response.into_inner().chat.expect("the chat is returned"))
    }

    pub(crate) async fn get(&self, key: Key) -> Result<Chat, Status> {
        let response = self.client().get_chat(GetChatRequest { key: Some(key) }).await?;
        Ok(response.into_inner().chat.expect("the chat is returned"))
    }

    pub(crate) async fn page(
        &self,
        page_size: i32,
        page_token: &str,
        of: ChatType,
    ) -> Result<ListChatsResponse, Status> {
        let request =
            ListChatsRequest { page_size, page_token: page_token.into(), r#type: of.into() };
        Ok(self.client().list_chats(request).await?.into_inner())
    }
}

impl Fixture {
    /// A second chat service on the same database; it ends with this one.
    pub(crate) async fn replica(&self) -> SocketAddr {
        self.replica_with(self.config()).await
    }

    /// The same, configured otherwise.
    pub(crate) async fn replica_with(&self, config: chat::Config) -> SocketAddr {
        let address = self.start(config).await;
        eventually("the replica serves", async || {
            let said = health(address, "chat.v1.ChatService").await;
            said.ok().filter(|said| *said == ServingStatus::Serving)
        })
        .await;
        address
    }

    /// The same, whatever its gate says.
    pub(crate) async fn start(&self, config: chat::Config) -> SocketAddr {
        let (listener, address) = loopback().await;
        tokio::spawn(chat::serve(config, listener, self.stopping.clone()));
        address
    }

    /// A chat with nothing but a jid; its id.
    pub(crate) async fn chat(&self, jid: &str) -> String {
        self.create(chat(jid)).await.unwrap().id
    }

    pub(crate) async fn send(&self, message: SendMessageRequest) -> Result<Message, Status> {
        let response = self.client().send_message(message).await?;
        Ok(response.into_inner().message.expect("the message is returned"))
    }

    /// Sends a message that must arrive.
    pub(crate) async fn say(&self, chat_id: &str, body: &str) -> Message {
        self.send(message(chat_id, body)).await.unwrap()
    }

    pub(crate) async fn subscribe(
        &self,
        chat_id: &str,
        after: &str,
    ) -> Result<Streaming<SubscribeResponse>, Status> {
        let request = SubscribeRequest { chat_id: chat_id.into(), after: after.into() };
        Ok(self.client().subscribe(request).await?.into_inner())
    }
}

/// The bodies of the next messages of a subscription.
pub(crate) async fn next_bodies(
    stream: &mut Streaming<SubscribeResponse>,
    count: usize,
) -> Vec<String> {
    let mut bodies = Vec::new();
    let listening = async {
        while bodies.len() < count {
            let next = stream.message().await.unwrap().expect("it goes on");
            bodies.push(next.message.expect("there is a message").body);
        }
    };
    let done = tokio::time::timeout(testing::DEADLINE, listening).await;
    assert!(done.is_ok(), "only {bodies:?}");
    bodies
}

/// A message with a sender and nothing else.
pub(crate) fn message(chat_id: &str, body: &str) -> SendMessageRequest {
    SendMessageRequest {
        chat_id: chat_id.into(),
        sender: "me@s.whatsapp.net".into(),
        body: body.into(),
        ..SendMessageRequest::default()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn loopback() -> (tokio::net::TcpListener, SocketAddr) {
    let listener = transport::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A chat with a jid and nothing else.
pub(crate) fn chat(jid: &str) -> Chat {
    Chat { jid: jid.into(), ..Chat::default() }
}
