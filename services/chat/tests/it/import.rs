//! Importing chats.

use api::chat::v1::{
    Chat, ChatType, ImportChatsRequest, ImportChatsResponse, ListChatsRequest,
    get_chat_request::Key,
};
use prost_types::{Struct, Timestamp};
use serde_json::json;
use testing::{Backend, apply, both, eventually};
use tonic::Status;
use wire::convert::to_struct;

use crate::fixture::{Fixture, chat};

#[apply(both!)]
async fn an_import_sets_given_fields_only(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let time = |seconds| Some(Timestamp { seconds, nanos: 1_000 });
    let whole = Chat {
        name: "Ann".into(),
        r#type: ChatType::Private.into(),
        metadata: Some(to_struct(json!({"a": 1}))),
        created_at: time(1_000),
        updated_at: time(2_000),
        last_message_at: time(3_000),
        ..chat("a")
    };
    assert_eq!(counts(&import(&fixture, [whole.clone()]).await.unwrap()), (1, 0, 0));
    let first = stored(&fixture, "a").await;
    assert_eq!(first, Chat { id: first.id.clone(), ..whole });

    // The name, and thereby the time of the update.
    let named = Chat { name: "Anna".into(), ..chat("a") };
    assert_eq!(counts(&import(&fixture, [named]).await.unwrap()), (0, 1, 0));
    let second = stored(&fixture, "a").await;
    assert!(second.updated_at.unwrap().seconds > 2_000);
    assert_eq!(second, Chat { name: "Anna".into(), updated_at: second.updated_at, ..first });

    // Empty metadata, earlier times and a later one.
    let timed = Chat {
        metadata: Some(Struct::default()),
        created_at: time(500),
        updated_at: time(600),
        last_message_at: time(4_000),
        ..chat("a")
    };
    import(&fixture, [timed.clone()]).await.unwrap();
    let third = stored(&fixture, "a").await;
    assert_eq!(third, Chat { id: second.id, name: second.name, r#type: second.r#type, ..timed });
}

#[apply(both!)]
async fn plans_made_for_few_chats_are_not_used_for_many(backend: Backend) {
    const MANY: usize = 20_000;
    const READ: usize = 10;
    let fixture = Fixture::ready(backend).await;
    let list = async || {
        let page = fixture.client().list_chats(ListChatsRequest::default()).await.unwrap();
        page.into_inner().chats.len()
    };
    import(&fixture, [chat("a"), chat("b")]).await.unwrap();
    if backend == Backend::Postgres {
        fixture.database.execute("analyze chats").await;
    }
    // Often enough for PostgreSQL to cache a plan, which scans so small a table.
    for _ in 0..READ {
        assert_eq!(list().await, 2);
    }
    import(&fixture, (0..MANY).map(|n| chat(&n.to_string()))).await.unwrap();
    for _ in 0..READ {
        assert_eq!(list().await, 50);
    }
    if backend == Backend::Postgres {
        // A session reports its statistics up to a second later.
        let indexed = format!(
            "select idx_scan from pg_stat_user_indexes \
             where indexrelname = 'ix_chats_listing' and idx_scan >= {READ}"
        );
        eventually("every page was read by its index", async || {
            let found = fixture.database.column(&indexed).await;
            (!found.is_empty()).then_some(())
        })
        .await;
    }
}

#[apply(both!)]
async fn an_invalid_row_is_reported_and_affects_no_other(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let never = Some(Timestamp { seconds: i64::MAX, nanos: 0 });
    let rows = [
        chat("a"),
        chat(""),
        chat("b"),
        Chat { name: "n".repeat(256), ..chat("c") },
        Chat { created_at: never, ..chat("d") },
        chat("e"),
    ];
    let done = import(&fixture, rows).await.unwrap();
    assert_eq!(counts(&done), (3, 0, 3));
    let reported: Vec<_> =
        done.errors.iter().map(|e| (e.index, e.field.as_str(), e.reason.as_str())).collect();
    assert_eq!(
        reported,
        [
            (1, "chat.jid", "FIELD_REQUIRED"),
            (3, "chat.name", "FIELD_TOO_LONG"),
            (4, "chat.created_at", "TIME_INVALID"),
        ]
    );
    assert!(done.errors[0].message.contains("chat.jid"), "{:?}", done.errors[0]);
    for jid in ["a", "b", "e"] {
        stored(&fixture, jid).await;
    }
}

#[apply(both!)]
async fn a_row_that_the_database_refuses_affects_no_other(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let refuse = match backend {
        Backend::Postgres => "alter table chats add constraint no_b check (jid <> 'b')",
        Backend::Sqlite => {
            "create trigger no_b before insert on chats when new.jid = 'b' \
             begin select raise(abort, 'no b'); end"
        }
    };
    fixture.database.execute(refuse).await;
    let done = import(&fixture, ["a", "b", "c"].map(chat)).await.unwrap();
    assert_eq!(counts(&done), (2, 0, 1));
    assert_eq!((done.errors[0].index, done.errors[0].reason.as_str()), (1, "INTERNAL"));
    assert!(!done.errors[0].message.contains("no_b"), "internals are logged only");
}

#[apply(both!)]
async fn the_last_row_of_a_jid_wins(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let rows = (0..50).map(|n| Chat { name: n.to_string(), ..chat(["a", "b"][n % 2]) });
    let done = import(&fixture, rows).await.unwrap();
    assert_eq!(counts(&done), (2, 48, 0));
    assert_eq!(stored(&fixture, "a").await.name, "48");
    assert_eq!(stored(&fixture, "b").await.name, "49");
}

#[apply(both!)]
async fn rows_beyond_one_batch_are_imported(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let rows = (0..1_234).map(|n| chat(&n.to_string()));
    let done = import(&fixture, rows.clone()).await.unwrap();
    assert_eq!(counts(&done), (1_234, 0, 0));
    assert_eq!(counts(&import(&fixture, rows).await.unwrap()), (0, 1_234, 0));
    let count = fixture.database.column("select count(*) from chats").await;
    assert_eq!(count, [Some("1234".into())]);
}

#[apply(both!)]
async fn refused_rows_are_counted_beyond_those_reported(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let done = import(&fixture, (0..150).map(|_| chat(""))).await.unwrap();
    assert_eq!((counts(&done), done.errors.len()), ((0, 0, 150), 100));
}

async fn import<I>(fixture: &Fixture, rows: I) -> Result<ImportChatsResponse, Status>
where
    I: IntoIterator<Item = Chat>,
    I::IntoIter: Send + 'static,
{
    let rows = rows.into_iter().map(|chat| ImportChatsRequest { chat: Some(chat) });
    let stream = tokio_stream::iter(rows);
    Ok(fixture.client().import_chats(stream).await?.into_inner())
}

async fn stored(fixture: &Fixture, jid: &str) -> Chat {
    fixture.get(Key::Jid(jid.into())).await.unwrap()
}

fn counts(done: &ImportChatsResponse) -> (u64, u64, u64) {
    (done.created, done.updated, done.failed)
}
