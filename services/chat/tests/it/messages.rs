//! Sending messages, and reading them back.

use api::chat::v1::{
    DeleteChatRequest, ListMessagesRequest, ListMessagesResponse, Message, SendMessageRequest,
    get_chat_request::Key,
};
use futures_util::future::join_all;
use serde_json::json;
use testing::{Backend, apply, both, reason, retry_delay};
use tonic::{Code, Status};
use uuid::Uuid;
use wire::convert::to_struct;

use crate::{
    chats::assert_invalid,
    fixture::{Fixture, message},
};

#[apply(both!)]
async fn a_message_is_stored_and_updates_its_chat(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let given = SendMessageRequest {
        metadata: Some(to_struct(json!({"lang": "de"}))),
        ..message(&chat, "Grüße \u{1F980} 'n\\n\"")
    };
    let sent = fixture.send(given.clone()).await.unwrap();
    assert_eq!((sent.body.as_str(), &sent.chat_id), (given.body.as_str(), &chat));
    assert_eq!((&sent.sender, &sent.metadata), (&given.sender, &given.metadata));
    assert_eq!(Uuid::parse_str(&sent.id).unwrap().get_version_num(), 7);
    assert!(!sent.cursor.is_empty());
    let moved = fixture.get(Key::Id(chat.clone())).await.unwrap();
    assert_eq!(moved.last_message_at, sent.sent_at);
    assert_eq!(list(&fixture, &chat, 0, "").await.unwrap().messages, [sent]);
}

#[apply(both!)]
async fn last_message_at_never_decreases(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let ahead = "update chats set last_message_at = '2999-01-01 00:00:00.000000'";
    fixture.database.execute(ahead).await;
    fixture.say(&chat, "hello").await;
    let moved = fixture.get(Key::Id(chat)).await.unwrap();
    assert!(moved.last_message_at.unwrap().seconds > 32_000_000_000);
}

#[apply(both!)]
async fn a_retry_with_the_same_id_stores_one_message(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (chat, other) = (fixture.chat("a").await, fixture.chat("b").await);
    let id = Uuid::now_v7();
    let first = SendMessageRequest { id: id.to_string(), ..message(&chat, "once") };
    let stored = fixture.send(first.clone()).await.unwrap();
    assert_eq!(stored.id, id.to_string());
    let spelled =
        SendMessageRequest { id: id.simple().to_string().to_uppercase(), ..first.clone() };
    assert_eq!(fixture.send(spelled).await.unwrap(), stored);

    let text = SendMessageRequest { body: "twice".into(), ..first.clone() };
    let elsewhere = SendMessageRequest { chat_id: other, ..first.clone() };
    for changed in [text, elsewhere] {
        let refused = fixture.send(changed).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists);
        assert_eq!(reason(&refused), "MESSAGE_ID_TAKEN");
    }
    // Many at once, so that some meet in one batch.
    let fresh = SendMessageRequest { id: Uuid::now_v7().to_string(), ..first };
    let answers = join_all((0..20).map(|_| fixture.send(fresh.clone()))).await;
    let answers: Vec<Message> = answers.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(list(&fixture, &chat, 0, "").await.unwrap().messages.len(), 2);
}

#[apply(both!)]
async fn invalid_fields_are_refused_by_name(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let good = message(&chat, "x");
    let long = Some(to_struct(json!({"a": "x".repeat(64 * 1024)})));
    for (given, field, why) in [
        (
            SendMessageRequest { chat_id: String::new(), ..good.clone() },
            "chat_id",
            "FIELD_REQUIRED",
        ),
        (SendMessageRequest { sender: String::new(), ..good.clone() }, "sender", "FIELD_REQUIRED"),
        (SendMessageRequest { sender: "s\0".into(), ..good.clone() }, "sender", "FIELD_HOLDS_NUL"),
        (
            SendMessageRequest { sender: "s".repeat(256), ..good.clone() },
            "sender",
            "FIELD_TOO_LONG",
        ),
        (SendMessageRequest { id: "1".into(), ..good.clone() }, "id", "UUID_INVALID"),
        (SendMessageRequest { reply_to: "1".into(), ..good.clone() }, "reply_to", "UUID_INVALID"),
        (message(&chat, "a\0b"), "body", "FIELD_HOLDS_NUL"),
        (message(&chat, &"x".repeat(64 * 1024 + 1)), "body", "FIELD_TOO_LONG"),
        (SendMessageRequest { metadata: long, ..good }, "metadata", "FIELD_TOO_LONG"),
    ] {
        assert_invalid(&fixture.send(given).await.unwrap_err(), field, why);
    }
    assert!(fixture.database.column("select id from messages").await.is_empty());
    fixture.say(&chat, &"ä".repeat(32 * 1024)).await;
}

#[apply(both!)]
async fn a_message_of_an_unknown_chat_stores_nothing(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let refused = fixture.send(message("unknown", "x")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CHAT_NOT_FOUND"));
    assert!(fixture.database.column("select id from messages").await.is_empty());
    let refused = list(&fixture, "unknown", 0, "").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CHAT_NOT_FOUND"));
}

#[apply(both!)]
async fn a_reply_stays_in_its_chat(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (chat, other) = (fixture.chat("a").await, fixture.chat("b").await);
    let asked = fixture.say(&chat, "?").await;
    let reply = SendMessageRequest { reply_to: asked.id.clone(), ..message(&chat, "!") };
    assert_eq!(fixture.send(reply.clone()).await.unwrap().reply_to, asked.id);
    let elsewhere = SendMessageRequest { chat_id: other, ..reply.clone() };
    let nothing = SendMessageRequest { reply_to: Uuid::nil().to_string(), ..reply };
    for wrong in [elsewhere, nothing] {
        assert_invalid(&fixture.send(wrong).await.unwrap_err(), "reply_to", "REPLY_NOT_IN_CHAT");
    }
}

#[apply(both!)]
async fn a_message_that_the_database_refuses_fails_alone(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    // Only the database knows that it is invalid.
    let refuse = match backend {
        Backend::Postgres => "alter table messages add constraint no_bad check (body <> 'bad')",
        Backend::Sqlite => {
            "create trigger no_bad before insert on messages when new.body = 'bad' \
             begin select raise(abort, 'no bad'); end"
        }
    };
    fixture.database.execute(refuse).await;
    let bodies = |n: usize| match n % 10 {
        0 => ("bad", chat.as_str()),
        1 => ("lost", "nowhere"),
        _ => ("good", chat.as_str()),
    };
    let answers = join_all((0..100).map(|n| {
        let (body, chat) = bodies(n);
        fixture.send(message(chat, body))
    }))
    .await;
    for (n, answer) in answers.into_iter().enumerate() {
        match bodies(n).0 {
            "bad" => assert_eq!(answer.unwrap_err().code(), Code::Internal),
            "lost" => assert_eq!(answer.unwrap_err().code(), Code::NotFound),
            _ => drop(answer.unwrap()),
        }
    }
    let count = fixture.database.column("select count(*) from messages").await;
    assert_eq!(count, [Some("80".into())]);
}

#[apply(both!)]
async fn messages_are_listed_newest_first_in_pages(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (chat, other) = (fixture.chat("a").await, fixture.chat("b").await);
    let mut sent = Vec::new();
    for n in 0..7 {
        sent.push(fixture.say(&chat, &n.to_string()).await);
        fixture.say(&other, "between").await;
    }
    sent.reverse();
    for size in 1..=8 {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = list(&fixture, &chat, size, &token).await.unwrap();
            found.extend(page.messages);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(found, sent, "{size} a page");
    }
    let token = list(&fixture, &chat, 2, "").await.unwrap().next_page_token;
    let forged = wire::page::token("x", &format!("messages?chat={chat}"));
    for (chat, token) in [(&other, token.as_str()), (&chat, "x"), (&chat, &forged)] {
        let refused = list(&fixture, chat, 2, token).await.unwrap_err();
        assert_invalid(&refused, "page_token", "PAGE_TOKEN_INVALID");
    }
}

#[apply(both!)]
async fn a_page_of_large_messages_is_shorter(backend: Backend) {
    const COUNT: usize = 150;
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let sent = (0..COUNT).map(|n| {
        let body = format!("{n} {}", "x".repeat(60 * 1024));
        fixture.send(SendMessageRequest { body, ..message(&chat, "") })
    });
    join_all(sent).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&fixture, &chat, 1_000, &token).await.unwrap();
        assert!((1..COUNT).contains(&page.messages.len()), "{}", page.messages.len());
        found.extend(page.messages.into_iter().map(|message| message.cursor));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    // Each once.
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), COUNT);
}

#[apply(both!)]
async fn deleting_a_chat_deletes_its_messages(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    let first = fixture.say(&chat, "1").await;
    fixture.client().delete_chat(DeleteChatRequest { id: chat }).await.unwrap();
    assert!(fixture.database.column("select id from messages").await.is_empty());
    // Its position is not reused: its cursor stays valid.
    let other = fixture.chat("b").await;
    let mut stream = fixture.subscribe("", &first.cursor).await.unwrap();
    fixture.say(&other, "2").await;
    assert_eq!(crate::fixture::next_bodies(&mut stream, 1).await, ["2"]);
}

#[apply(both!)]
async fn messages_beyond_the_queue_are_refused(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let chat = fixture.chat("a").await;
    // Another writer blocks every insert.
    let (begin, end) = match backend {
        Backend::Postgres => ("begin; lock table messages in exclusive mode", "commit"),
        Backend::Sqlite => ("begin immediate", "commit"),
    };
    let mut holder = crate::order::Holder::open(&fixture.database).await;
    holder.run(begin).await;
    let mut client = fixture.client();
    let calls = (0..2_000).map(|_| {
        let mut client = client.clone();
        let message = message(&chat, "x");
        tokio::spawn(async move { client.send_message(message).await })
    });
    let calls: Vec<_> = calls.collect();
    let refused = testing::eventually("a refusal", async || {
        let refused = client.send_message(message(&chat, "x"));
        let refused = tokio::time::timeout(std::time::Duration::from_millis(200), refused).await;
        refused.ok()?.err()
    })
    .await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::ResourceExhausted, "QUEUE_FULL")
    );
    assert!(retry_delay(&refused).is_some());
    holder.run(end).await;
    let mut stored = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => stored += 1,
            Err(refused) => assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}"),
        }
    }
    assert!(stored >= 1_024, "{stored}");
}

async fn list(
    fixture: &Fixture,
    chat_id: &str,
    page_size: i32,
    page_token: &str,
) -> Result<ListMessagesResponse, Status> {
    let request =
        ListMessagesRequest { chat_id: chat_id.into(), page_size, page_token: page_token.into() };
    Ok(fixture.client().list_messages(request).await?.into_inner())
}
