//! Listing chats: the order, the pages, and the tokens between them.

use api::chat::v1::{Chat, ChatType};
use futures_util::future::join_all;
use testing::{Backend, TestDatabase, apply, both};

use crate::{chats::assert_invalid, fixture::Fixture};

/// Chats with ties in both times, some without a message, in the order of the listing.
const CHATS: [(&str, &str, &str, &str); 9] = [
    ("i", "group", "'2024-01-01 00:00:03.000000'", "2024-01-01 00:00:02.000000"),
    ("h", "group", "'2024-01-01 00:00:03.000000'", "2024-01-01 00:00:01.000000"),
    ("g", "private", "'2024-01-01 00:00:03.000000'", "2024-01-01 00:00:01.000000"),
    ("a", "group", "'2024-01-01 00:00:02.000001'", "2024-01-01 00:00:09.000000"),
    ("b", "channel", "'2024-01-01 00:00:02.000000'", "2024-01-01 00:00:09.000000"),
    ("c", "group", "null", "2024-01-01 00:00:08.000001"),
    ("f", "private", "null", "2024-01-01 00:00:08.000000"),
    ("e", "group", "null", "2024-01-01 00:00:08.000000"),
    ("d", "group", "null", "2024-01-01 00:00:07.000000"),
];

#[apply(both!)]
async fn chats_are_listed_by_newest_message_those_without_last(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    insert(&fixture.database).await;
    let page = fixture.page(0, "", ChatType::Unspecified).await.unwrap();
    assert_eq!(jids(&page.chats), CHATS.map(|chat| chat.0));
    assert_eq!(page.next_page_token, "");
}

#[apply(both!)]
async fn pages_of_any_size_make_the_whole_list(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    insert(&fixture.database).await;
    for of in [ChatType::Unspecified, ChatType::Group] {
        let expected: Vec<&str> = CHATS
            .iter()
            .filter(|chat| of == ChatType::Unspecified || chat.1 == "group")
            .map(|chat| chat.0)
            .collect();
        for size in 1..=10 {
            let (mut found, mut token) = (Vec::new(), String::new());
            loop {
                let page = fixture.page(size, &token, of).await.unwrap();
                assert!(!page.chats.is_empty() && page.chats.len() <= size as usize);
                found.extend(jids(&page.chats));
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(found, expected, "{of:?}, {size} a page");
        }
    }
}

#[apply(both!)]
async fn a_list_contains_every_chat_created_before(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    // All of them request the same page and share its reads.
    let each = (0..16).map(|writer| {
        let fixture = &fixture;
        async move {
            for n in 0..20 {
                let jid = format!("{writer}-{n}");
                fixture.chat(&jid).await;
                let page = fixture.page(1_000, "", ChatType::Unspecified).await.unwrap();
                assert!(jids(&page.chats).contains(&jid), "{jid} is missing");
            }
        }
    });
    join_all(each).await;
}

#[apply(both!)]
async fn a_page_has_at_most_a_thousand_chats(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let rows: Vec<String> = (0..1_001).map(|n| format!("('{n:04}', '{n}')")).collect();
    let insert = format!("insert into chats (id, jid) values {}", rows.join(", "));
    fixture.database.execute(&insert).await;
    for (asked, got) in [(0, 50), (1_000, 1_000), (i32::MAX, 1_000)] {
        let page = fixture.page(asked, "", ChatType::Unspecified).await.unwrap();
        assert_eq!(page.chats.len(), got);
        assert!(!page.next_page_token.is_empty());
    }
    let refused = fixture.page(-1, "", ChatType::Unspecified).await.unwrap_err();
    assert_invalid(&refused, "page_size", "PAGE_SIZE_INVALID");
}

#[apply(both!)]
async fn a_page_token_is_valid_for_its_list_only(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    insert(&fixture.database).await;
    let token = fixture.page(2, "", ChatType::Unspecified).await.unwrap().next_page_token;
    let other = wire::page::token("1|2|3", "messages");
    let cut = &token[..token.len() / 2];
    let nul = wire::page::token("1|2|\0", "chats?type=0");
    let far = wire::page::token("9999999999999999999|2|a", "chats?type=0");
    for bad in ["x", "!", cut, &other, &nul, &far] {
        let refused = fixture.page(2, bad, ChatType::Unspecified).await.unwrap_err();
        assert_invalid(&refused, "page_token", "PAGE_TOKEN_INVALID");
    }
    let refused = fixture.page(2, &token, ChatType::Group).await.unwrap_err();
    assert_invalid(&refused, "page_token", "PAGE_TOKEN_INVALID");
    let refused = fixture.page(2, "", ChatType::try_from(9).unwrap_or_default()).await;
    assert!(refused.is_ok());
}

#[apply(both!)]
async fn times_of_other_programs_are_ordered(backend: Backend) {
    // Formats of SQLite's current_timestamp and of SQLAlchemy, before 0003 made them uniform.
    let fixture = Fixture::on(backend.at("0002").await).await;
    fixture
        .database
        .execute(
            "insert into chats (id, jid, created_at, last_message_at) values \
             ('1', 'a', '2024-01-01 00:00:01', null), \
             ('2', 'b', '2024-01-01 00:00:01.000000', null), \
             ('3', 'c', '2024-01-01 00:00:01', '2024-01-01 00:00:01'), \
             ('4', 'd', '2024-01-01 00:00:01', '2024-01-01 00:00:01.000000')",
        )
        .await;
    testing::upgrade(fixture.schema, "").await.unwrap();
    fixture.is(tonic_health::pb::health_check_response::ServingStatus::Serving).await;
    let (mut found, mut token) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = fixture.page(1, &token, ChatType::Unspecified).await.unwrap();
        found.extend(jids(&page.chats));
        token = page.next_page_token;
    }
    assert_eq!((found.join(""), token.as_str()), ("dcba".into(), ""));
}

async fn insert(database: &TestDatabase) {
    for (id, kind, last_message_at, created_at) in CHATS {
        let insert = format!(
            "insert into chats (id, jid, chat_type, last_message_at, created_at) \
             values ('{id}', '{id}', '{kind}', {last_message_at}, '{created_at}')"
        );
        database.execute(&insert).await;
    }
}

fn jids(chats: &[Chat]) -> Vec<String> {
    chats.iter().map(|chat| chat.jid.clone()).collect()
}
