//! A chat server of each build beside a schema server of the other, and beside each other.

use std::collections::BTreeMap;

use api::chat::v1::{
    AssignBotRequest, Assignment, Bot, Chat, CreateBotRequest, CreateChatRequest, ListChatsRequest,
    ListMessagesRequest, bot_service_client::BotServiceClient,
    chat_service_client::ChatServiceClient,
};
use testing::{
    Backend, Nats, Process, TestDatabase, apply, both, channel, current, downgrade, eventually,
    reason, upgrade,
};

use super::{
    Build, Server,
    content::{Worker, fill, send},
    lists::{Kept, List, Servers, subscribe},
};

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn a_gate_follows_a_schema_server_of_the_other_build(backend: Backend) {
    for build in Build::BOTH {
        let database = backend.empty().await;
        let schema = build.schema(&database).await;
        upgrade(schema.address, "0001").await.unwrap();
        let chat = build.other().chat(&database, &schema).await;
        let mut chats = ChatServiceClient::new(channel(chat.address));
        refused(&chat).await;

        upgrade(schema.address, "head").await.unwrap();
        chat.gate_is(true).await;
        chats.list_chats(ListChatsRequest::default()).await.unwrap();

        downgrade(schema.address, "-1").await.unwrap();
        chat.gate_is(false).await;
        refused(&chat).await;

        upgrade(schema.address, "head").await.unwrap();
        chat.gate_is(true).await;
        chats.list_chats(ListChatsRequest::default()).await.unwrap();
        assert_eq!(current(schema.address).await.dependents.len(), 1);
    }
}

/// Calls are refused because the schema is not at head.
async fn refused(chat: &Server) {
    let mut chats = ChatServiceClient::new(channel(chat.address));
    eventually("calls are refused for the schema", async || {
        let refused = chats.list_chats(ListChatsRequest::default()).await.err()?;
        (reason(&refused) == "SCHEMA_NOT_AT_HEAD").then_some(())
    })
    .await;
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn an_open_gate_stays_open_while_the_schema_server_is_replaced(backend: Backend) {
    for build in Build::BOTH {
        let database = backend.empty().await;
        let mut schema = build.schema(&database).await;
        upgrade(schema.address, "head").await.unwrap();
        let chat = build.chat(&database, &schema).await;
        chat.gate_is(true).await;
        assert!(schema.process.terminate().await.success());
        let address = schema.address.to_string();
        let env = [("DATABASE_URL", database.url()), ("SCHEMA_LISTEN", &address)];
        let schema = build.other().serve("schema", &env).await;
        let mut chats = ChatServiceClient::new(channel(chat.address));
        eventually("the gate registers with the new server", async || {
            chats.list_chats(ListChatsRequest::default()).await.unwrap();
            (current(schema.address).await.dependents.len() == 1).then_some(())
        })
        .await;
    }
}

/// A chat server of each build behind one schema server, the given build's first.
struct Replicas {
    schema: Server,
    one: Server,
    other: Server,
}

impl Replicas {
    async fn start(database: &TestDatabase, first: Build, bus: Option<&Nats>) -> Self {
        let schema = first.schema(database).await;
        let schema_url = schema.url();
        let bus = bus.map(Nats::url);
        let mut env = vec![
            ("DATABASE_URL", database.url()),
            ("SCHEMA_URL", &schema_url),
            ("CHAT_BOT_FAILURES", "1"),
        ];
        env.extend(bus.as_deref().map(|bus| ("CHAT_BUS", bus)));
        let one = first.serve("chat", &env).await;
        let other = first.other().serve("chat", &env).await;
        one.gate_is(true).await;
        other.gate_is(true).await;
        Self { schema, one, other }
    }
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn page_tokens_and_cursors_of_either_continue_at_the_other(backend: Backend) {
    for first in Build::BOTH {
        let database = backend.at_head().await;
        let replicas = Replicas::start(&database, first, None).await;
        let Replicas { schema, one, other } = &replicas;
        // Operations and revisions are listed by schema servers, so one of each build.
        let second = first.other().schema(&database).await;
        downgrade(second.address, "-1").await.unwrap();
        upgrade(schema.address, "head").await.unwrap();
        downgrade(second.address, "-1").await.unwrap();
        upgrade(schema.address, "head").await.unwrap();
        one.gate_is(true).await;
        other.gate_is(true).await;
        let chat_id = fill(one).await;

        let (here, there) =
            (Servers { schema, chat: one }, Servers { schema: &second, chat: other });
        for list in List::ALL {
            let alone = list.pages(&[here], &chat_id).await;
            assert!(alone.len() > 1, "{list:?} has one page");
            let rows: Vec<_> = alone.into_iter().map(|page| page.rows).collect();
            for servers in [[here, there], [there, here]] {
                let mixed = list.pages(&servers, &chat_id).await;
                let mixed: Vec<_> = mixed.into_iter().map(|page| page.rows).collect();
                assert_eq!(mixed, rows, "{list:?}");
            }
        }
        for (giver, taker) in [(here, other), (there, one)] {
            let kept = Kept::of(giver, &chat_id).await;
            for (at, (cursor, _)) in kept.cursors.iter().enumerate() {
                let following = &kept.cursors[at + 1..];
                let messages = subscribe(taker, &chat_id, cursor, following.len()).await;
                let messages = messages.into_iter().map(|message| (message.cursor, message.id));
                assert_eq!(messages.collect::<Vec<_>>(), following, "after {cursor}");
            }
        }
    }
}

async fn create_chat(chat: &Server, jid: &str) -> String {
    let mut chats = ChatServiceClient::new(channel(chat.address));
    let request = CreateChatRequest { chat: Some(Chat { jid: jid.into(), ..Chat::default() }) };
    chats.create_chat(request).await.unwrap().into_inner().chat.unwrap().id
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn subscribers_of_both_hear_the_messages_of_both(backend: Backend) {
    let nats = Nats::start().await;
    for (first, bus) in [(Build::Old, None), (Build::Current, Some(&nats))] {
        let database = backend.at_head().await;
        let replicas = Replicas::start(&database, first, bus).await;
        let Replicas { one, other, .. } = &replicas;
        let chat_id = create_chat(one, "friends@g.us").await;
        let mut chats = [one, other].map(|server| ChatServiceClient::new(channel(server.address)));
        let start = send(&mut chats[0], &chat_id, "start", "").await;
        let sending = async {
            let mut sent = Vec::new();
            for number in 0..20 {
                let client = &mut chats[number % 2];
                sent.push(send(client, &chat_id, &format!("message {number}"), "").await.id);
            }
            sent
        };
        let (sent, here, there) = tokio::join!(
            sending,
            subscribe(one, &chat_id, &start.cursor, 20),
            subscribe(other, &chat_id, &start.cursor, 20)
        );
        for heard in [here, there] {
            let ids: Vec<String> = heard.into_iter().map(|message| message.id).collect();
            assert_eq!(ids, sent);
        }
    }
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn workers_of_both_answer_each_message_once(backend: Backend) {
    const MESSAGES: usize = 20;
    for first in Build::BOTH {
        let database = backend.at_head().await;
        let replicas = Replicas::start(&database, first, None).await;
        let Replicas { one, other, .. } = &replicas;
        let chat_id = create_chat(one, "friends@g.us").await;
        let mut bots = [one, other].map(|server| BotServiceClient::new(channel(server.address)));
        let bot =
            Bot { r#type: "echo".into(), name: "Echo".into(), enabled: true, ..Bot::default() };
        let created = bots[1].create_bot(CreateBotRequest { bot: Some(bot) }).await.unwrap();
        let assignment = Assignment {
            chat_id: chat_id.clone(),
            bot_id: created.into_inner().bot.unwrap().id,
            enabled: true,
            ..Assignment::default()
        };
        let request = AssignBotRequest { assignment: Some(assignment) };
        bots[0].assign_bot(request).await.unwrap();
        for client in &mut bots {
            let mut worker = Worker::attend(client, "echo").await;
            tokio::spawn(async move {
                loop {
                    let delivery = worker.next().await;
                    let reply = delivery.message.unwrap().body;
                    worker.answer(delivery.delivery_id, &reply, "").await;
                }
            });
        }
        let mut chats = [one, other].map(|server| ChatServiceClient::new(channel(server.address)));
        for number in 0..MESSAGES {
            send(&mut chats[number % 2], &chat_id, &format!("{number}"), "").await;
        }
        let request = ListMessagesRequest { chat_id, page_size: 1_000, ..Default::default() };
        let replies = eventually("every message has a reply", async || {
            let listed = chats[1].list_messages(request.clone()).await.unwrap().into_inner();
            let mut replies: BTreeMap<String, usize> = BTreeMap::new();
            for message in listed.messages.into_iter().filter(|row| !row.reply_to.is_empty()) {
                *replies.entry(message.reply_to).or_default() += 1;
            }
            (replies.len() == MESSAGES).then_some(replies)
        })
        .await;
        assert!(replies.values().all(|count| *count == 1), "{replies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn a_file_of_stack_is_served_by_either() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("schemagate.db");
    let mut jids = Vec::new();
    for (number, build) in [Build::Old, Build::Current, Build::Old].into_iter().enumerate() {
        let arguments = ["--file", file.to_str().unwrap()];
        let mut process = Process::start(build.binary("stack"), &arguments, &[]);
        let address = process.address("chat").await;
        let mut chat = Server { process, address };
        chat.gate_is(true).await;
        let jid = format!("{number}@g.us");
        create_chat(&chat, &jid).await;
        jids.insert(0, jid);
        let mut chats = ChatServiceClient::new(channel(chat.address));
        let listed = chats.list_chats(ListChatsRequest::default()).await.unwrap().into_inner();
        assert_eq!(listed.chats.into_iter().map(|chat| chat.jid).collect::<Vec<_>>(), jids);
        assert!(chat.process.terminate().await.success());
    }
}
