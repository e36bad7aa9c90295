//! The content before the load starts: chats, bots in some of them, and a first message after which
//! all subscriptions start.

use std::{collections::BTreeMap, net::SocketAddr};

use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, Chat, CreateBotRequest, CreateChatRequest, Message,
    SendMessageRequest, bot_service_client::BotServiceClient,
    chat_service_client::ChatServiceClient,
};
use prost_types::{Struct, Value, value::Kind};
use rand::{SeedableRng as _, rngs::StdRng};
use testing::channel;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::cluster::Cluster;

const CHATS: usize = 16;

/// The bots that are assigned to the first chats.
const ASSIGNED_BOTS: [&[usize]; 3] = [&[0, 1], &[0], &[1, 0]];

/// The content and the end of the load, shared by all tasks.
pub struct Setup {
    pub addresses: Vec<SocketAddr>,
    pub chats: Vec<String>,
    /// The second one receives the messages of the first.
    pub bots: Vec<Bot>,
    /// Every subscription starts after it.
    pub first: Message,
    /// Ends the load.
    pub stopping: CancellationToken,
    /// Ends workers and subscribers.
    pub ending: CancellationToken,
    seed: u64,
}

impl Setup {
    pub async fn create(cluster: &Cluster, seed: u64) -> Self {
        let address = cluster.addresses[0];
        let mut client = ChatServiceClient::new(channel(address));
        let mut chats = Vec::new();
        for number in 0..CHATS {
            let chat = Chat { jid: format!("{number}@soak"), ..Chat::default() };
            let made = client.create_chat(CreateChatRequest { chat: Some(chat) }).await.unwrap();
            chats.push(made.into_inner().chat.unwrap().id);
        }
        let mut client = BotServiceClient::new(channel(address));
        let bots =
            vec![bot(&mut client, "first", false).await, bot(&mut client, "second", true).await];
        for (chat, assigned) in chats.iter().zip(ASSIGNED_BOTS) {
            for (priority, bot) in (0..).zip(assigned) {
                let assignment = Assignment {
                    chat_id: chat.clone(),
                    bot_id: bots[*bot].id.clone(),
                    enabled: true,
                    priority,
                    ..Assignment::default()
                };
                let request = AssignBotRequest { assignment: Some(assignment) };
                client.assign_bot(request).await.unwrap();
            }
        }
        let request = SendMessageRequest {
            chat_id: chats[CHATS - 1].clone(),
            sender: "setup".into(),
            body: "first".into(),
            ..SendMessageRequest::default()
        };
        let sent = ChatServiceClient::new(channel(address)).send_message(request).await.unwrap();
        Self {
            addresses: cluster.addresses.clone(),
            chats,
            bots,
            first: sent.into_inner().message.unwrap(),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
            seed,
        }
    }

    /// A random generator for the task of this role and number.
    pub fn random(&self, role: &str, number: usize) -> StdRng {
        let role = role.bytes().fold(0_u64, |sum, byte| sum * 31 + u64::from(byte));
        StdRng::seed_from_u64(self.seed ^ (role << 16) ^ number as u64)
    }
}

async fn bot(client: &mut BotServiceClient<Channel>, kind: &str, hears_bots: bool) -> Bot {
    let value = Value { kind: Some(Kind::BoolValue(hears_bots)) };
    let config = Struct { fields: BTreeMap::from([("hears_bots".into(), value)]) };
    let bot = Bot {
        r#type: kind.into(),
        name: format!("the {kind}"),
        config: Some(config),
        enabled: true,
        ..Bot::default()
    };
    let made = client.create_bot(CreateBotRequest { bot: Some(bot) }).await.unwrap();
    made.into_inner().bot.unwrap()
}
