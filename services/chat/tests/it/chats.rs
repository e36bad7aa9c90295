//! Chats, one at a time.

use api::chat::v1::{
    Chat, ChatType, DeleteChatRequest, GetChatRequest, UpdateChatRequest, get_chat_request::Key,
};
use prost_types::{FieldMask, Struct, Value, value::Kind};
use serde_json::json;
use testing::{Backend, apply, bad_fields, both, info, reason};
use tonic::{Code, Status};
use wire::convert::to_struct;

use crate::fixture::{Fixture, chat};

#[apply(both!)]
async fn a_chat_is_kept_as_it_was_given(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let given = Chat {
        jid: "491701234567@s.whatsapp.net".into(),
        name: "Ä \u{1F980} 'quoted' \\ \"".into(),
        r#type: ChatType::Group.into(),
        metadata: Some(to_struct(json!({"a": 1, "b": [true, null, "x", 1.5], "c": {"d": {}}}))),
        ..Chat::default()
    };
    let created = fixture.create(given.clone()).await.unwrap();
    assert_eq!(created.id.len(), 36);
    assert_eq!(created.created_at, created.updated_at);
    let nanos = created.created_at.unwrap().nanos;
    assert_eq!(nanos % 1_000, 0, "whole microseconds");
    let as_given = Chat {
        id: String::new(),
        created_at: None,
        updated_at: None,
        last_message_at: None,
        ..created.clone()
    };
    assert_eq!(as_given, given);

    assert_eq!(fixture.get(Key::Id(created.id.clone())).await.unwrap(), created);
    assert_eq!(fixture.get(Key::Jid(given.jid)).await.unwrap(), created);
}

#[apply(both!)]
async fn a_chat_needs_only_a_jid(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let created = fixture.create(chat("a")).await.unwrap();
    assert_eq!(created.r#type(), ChatType::Unspecified);
    assert_eq!((created.name.as_str(), created.metadata), ("", Some(Struct::default())));
    assert_eq!(created.last_message_at, None);
    let columns = "select count(*) from chats where name is null and chat_type is null";
    assert_eq!(fixture.database.column(columns).await, [Some("1".into())]);
}

#[apply(both!)]
async fn an_invalid_chat_is_refused_with_the_field(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let nan = Value { kind: Some(Kind::NumberValue(f64::NAN)) };
    let metadata = Some(Struct { fields: [("a".into(), nan)].into() });
    for (given, field, why) in [
        (chat(""), "chat.jid", "FIELD_REQUIRED"),
        (chat("a\0b"), "chat.jid", "FIELD_HOLDS_NUL"),
        (chat(&"ä".repeat(101)), "chat.jid", "FIELD_TOO_LONG"),
        (Chat { name: "\0".into(), ..chat("a") }, "chat.name", "FIELD_HOLDS_NUL"),
        (Chat { name: "n".repeat(256), ..chat("a") }, "chat.name", "FIELD_TOO_LONG"),
        (Chat { r#type: 9, ..chat("a") }, "chat.type", "CHAT_TYPE_UNKNOWN"),
        (Chat { metadata, ..chat("a") }, "chat.metadata.a", "JSON_UNKEPT"),
    ] {
        let refused = fixture.create(given).await.unwrap_err();
        assert_invalid(&refused, field, why);
    }
    // As long as they may be, in characters.
    let long = Chat { name: "ö".repeat(255), ..chat(&"ä".repeat(100)) };
    fixture.create(long).await.unwrap();
}

#[apply(both!)]
async fn a_jid_is_taken_once(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    fixture.create(chat("a")).await.unwrap();
    let refused = fixture.create(chat("a")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "JID_TAKEN"));
    assert_eq!(info(&refused, "jid"), "a");
}

#[apply(both!)]
async fn an_unknown_chat_is_not_found(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut client = fixture.client();
    let update = UpdateChatRequest {
        chat: Some(Chat { id: "x".into(), ..Chat::default() }),
        update_mask: None,
    };
    let refusals = [
        fixture.get(Key::Id("x".into())).await.unwrap_err(),
        fixture.get(Key::Jid("x".into())).await.unwrap_err(),
        client.update_chat(update).await.unwrap_err(),
        client.delete_chat(DeleteChatRequest { id: "x".into() }).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), Code::NotFound);
        assert_eq!(
            (reason(&refused), info(&refused, "chat")),
            ("CHAT_NOT_FOUND".into(), "x".into())
        );
    }
}

#[apply(both!)]
async fn a_key_must_be_given(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let mut client = fixture.client();
    let refused = client.get_chat(GetChatRequest { key: None }).await.unwrap_err();
    assert_invalid(&refused, "key", "FIELD_REQUIRED");
    let refused = fixture.get(Key::Id(String::new())).await.unwrap_err();
    assert_invalid(&refused, "id", "FIELD_REQUIRED");
    let refused = fixture.get(Key::Id("\0".into())).await.unwrap_err();
    assert_invalid(&refused, "id", "FIELD_HOLDS_NUL");
    let refused = client.delete_chat(DeleteChatRequest::default()).await.unwrap_err();
    assert_invalid(&refused, "id", "FIELD_REQUIRED");
}

#[apply(both!)]
async fn an_update_sets_what_its_mask_names(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let first = Chat {
        name: "before".into(),
        r#type: ChatType::Private.into(),
        metadata: Some(to_struct(json!({"a": 1}))),
        ..chat("a")
    };
    let created = fixture.create(first).await.unwrap();
    let change = Chat { id: created.id.clone(), name: "after".into(), ..chat("another") };

    let named = update(&fixture, change.clone(), &["name"]).await.unwrap();
    assert!(named.updated_at.unwrap().nanos != created.updated_at.unwrap().nanos);
    let expected = Chat { name: "after".into(), updated_at: named.updated_at, ..created.clone() };
    assert_eq!(named, expected, "and the jid is as it was");

    let all = update(&fixture, change, &[]).await.unwrap();
    let expected = Chat {
        r#type: ChatType::Unspecified.into(),
        metadata: Some(Struct::default()),
        updated_at: all.updated_at,
        ..expected
    };
    assert_eq!(all, expected);
    assert_eq!(fixture.get(Key::Id(created.id.clone())).await.unwrap(), all);

    let jid = update(&fixture, all.clone(), &["name", "jid"]).await.unwrap_err();
    assert_invalid(&jid, "update_mask", "UPDATE_MASK_UNKNOWN_PATH");
    // What the mask leaves out is not looked at.
    let long = Chat { name: "n".repeat(256), ..all };
    update(&fixture, long.clone(), &["type"]).await.unwrap();
    let refused = update(&fixture, long, &["name"]).await.unwrap_err();
    assert_invalid(&refused, "chat.name", "FIELD_TOO_LONG");
}

#[apply(both!)]
async fn deleting_a_chat_deletes_its_schedules(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let id = fixture.create(chat("a")).await.unwrap().id;
    let schedule = format!(
        "insert into scheduled_messages (id, chat_id, message, schedule_type, schedule_expression) \
         values ('s', '{id}', 'hello', 'once', '2030-01-01T00:00:00Z')"
    );
    fixture.database.execute(&schedule).await;
    fixture.client().delete_chat(DeleteChatRequest { id: id.clone() }).await.unwrap();
    assert_eq!(fixture.get(Key::Id(id)).await.unwrap_err().code(), Code::NotFound);
    assert!(fixture.database.column("select id from scheduled_messages").await.is_empty());
}

async fn update(fixture: &Fixture, chat: Chat, paths: &[&str]) -> Result<Chat, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = UpdateChatRequest { chat: Some(chat), update_mask: Some(FieldMask { paths }) };
    let response = fixture.client().update_chat(request).await?;
    Ok(response.into_inner().chat.expect("the chat is returned"))
}

pub(crate) fn assert_invalid(refused: &Status, field: &str, why: &str) {
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert_eq!((bad_fields(refused), reason(refused)), (vec![field.to_owned()], why.to_owned()));
}
