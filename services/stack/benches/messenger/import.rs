//! ImportChats beside COPY.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use api::chat::v1::{Chat, ChatType, ImportChatsRequest};
use chrono::DateTime;
use futures_util::stream;
use prost_types::Timestamp;
use testing::Backend;

use super::{Scale, Stack, figures::resident};

const ROWS: usize = 1_000_000;

/// Rows a second, and whether memory stays where it is.
pub async fn rows(scale: Scale) {
    for backend in [Backend::Postgres, Backend::Sqlite] {
        let stack = Stack::start(backend).await;
        let count = ROWS / scale.rows;
        let before = resident(&stack.chat);
        let mut client = stack.client();
        let started = Instant::now();
        let importing = tokio::spawn(async move {
            let rows = (0..count).map(row);
            client.import_chats(stream::iter(rows)).await.unwrap().into_inner()
        });
        let mut most = before;
        while !importing.is_finished() {
            most = most.max(resident(&stack.chat));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let done = importing.await.unwrap();
        assert_eq!(done.created, count as u64);
        let rate = count as f64 / started.elapsed().as_secs_f64();
        print!(
            "{backend:?}: import of {count} chats: {rate:.0} a second, {before:.0} to {most:.0} MiB"
        );
        match (backend == Backend::Postgres).then(|| copy(&stack, count)).flatten() {
            Some(copy) => println!("; COPY {copy:.0}, ratio {:.2}", rate / copy),
            None => println!(),
        }
    }
}

fn row(number: usize) -> ImportChatsRequest {
    let time = Some(Timestamp { seconds: 1_700_000_000 + number as i64, nanos: 0 });
    let chat = Chat {
        jid: format!("{number}@s.whatsapp.net"),
        name: format!("Chat {number}"),
        r#type: ChatType::Private.into(),
        created_at: time,
        last_message_at: time,
        ..Chat::default()
    };
    ImportChatsRequest { chat: Some(chat) }
}

/// The same rows by COPY into an empty table with the same indexes; none if psql is not installed.
fn copy(stack: &Stack, count: usize) -> Option<f64> {
    let mut rows = String::new();
    for number in 0..count {
        let id = uuid::Uuid::now_v7();
        let at = DateTime::from_timestamp(1_700_000_000 + number as i64, 0).unwrap().to_rfc3339();
        let columns = [
            id.to_string(),
            format!("{number}@s.whatsapp.net"),
            format!("Chat {number}"),
            "private\t{}".into(),
            at.clone(),
            at.clone(),
            at,
        ];
        rows.push_str(&columns.join("\t"));
        rows.push('\n');
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rows).unwrap();
    let truncate = Command::new("psql")
        .args(["-q", "-c", "truncate chats cascade", stack.database.url()])
        .stderr(Stdio::null())
        .status()
        .ok()?;
    assert!(truncate.success());
    let started = Instant::now();
    let copied = Command::new("psql")
        .args([
            "-q",
            "-c",
            "copy chats (id, jid, name, chat_type, metadata, created_at, updated_at, last_message_at) from stdin",
            stack.database.url(),
        ])
        .stdin(Stdio::from(file.reopen().unwrap()))
        .status()
        .ok()?;
    assert!(copied.success());
    Some(count as f64 / started.elapsed().as_secs_f64())
}
