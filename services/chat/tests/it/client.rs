//! `chat list`, `create`, `send`, `tail` and `import`: what a newcomer types.

use std::{fs, process::Output};

use serde_json::Value;
use testing::{Backend, Process, apply, both, eventually};
use tokio::process::Command;

use crate::fixture::Fixture;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

/// Runs a command to its end: its exit status, standard output and standard error.
async fn chat(fixture: &Fixture, arguments: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://{}", fixture.chat);
    let mut command = Command::new(CHAT);
    command.args(arguments).env_clear().env("CHAT_URL", url);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// The same, of a command that must succeed and have nothing to complain of; its output.
async fn said(fixture: &Fixture, arguments: &[&str]) -> String {
    let (status, said, complaint) = chat(fixture, arguments).await;
    assert_eq!((status, complaint.as_str()), (Some(0), ""), "{arguments:?}: {said}");
    said
}

#[apply(both!)]
async fn a_newcomers_first_minute(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (_, nothing, hint) = chat(&fixture, &["list"]).await;
    assert_eq!(
        (nothing.as_str(), hint.as_str()),
        ("", "no chats; run \"chat create JID\" to create one\n")
    );
    let (status, _, complaint) = chat(&fixture, &["send", "a@g.us", "hello"]).await;
    assert_eq!(status, Some(1));
    assert!(complaint.contains("chat a@g.us not found\n  run \"chat list\""), "{complaint}");

    let made = said(&fixture, &["create", "a@g.us", "--name", "Friends", "--type", "group"]).await;
    assert_eq!(made, format!("{:<20}  group    a@g.us  Friends\n", "-"));
    let sent = said(&fixture, &["send", "a@g.us", "hello\u{1b}[2J", "--sender", "me"]).await;
    assert!(sent.contains("Z  sent 0"), "{sent}");
    let listed = said(&fixture, &["list", "--type", "group"]).await;
    assert!(listed.starts_with("20") && listed.ends_with("group    a@g.us  Friends\n"), "{listed}");
    assert_eq!(chat(&fixture, &["list", "--type", "private"]).await.1, "");
    let json: Value = serde_json::from_str(&said(&fixture, &["list", "--json"]).await).unwrap();
    assert_eq!((&json["jid"], &json["type"]), (&"a@g.us".into(), &"CHAT_TYPE_GROUP".into()));
    assert_eq!(said(&fixture, &["list", "--limit", "0"]).await, "");
}

#[apply(both!)]
async fn tail_goes_on_where_its_service_was_killed(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let schema = format!("http://{}", fixture.schema);
    let env = [("DATABASE_URL", fixture.database.url()), ("SCHEMA_URL", &schema)];
    let mut replica = Process::start(CHAT, &["serve"], &env);
    let url = format!("http://{}", replica.address("chat").await);
    eventually("the replica is ready", async || {
        let mut ready = Process::start(CHAT, &["ready"], &[("CHAT_URL", &url)]);
        ready.ended().await.success().then_some(())
    })
    .await;
    said(&fixture, &["create", "a"]).await;
    said(&fixture, &["send", "a", "1", "--sender", "me"]).await;
    let tail = Process::start(CHAT, &["tail", "a"], &[("CHAT_URL", &url)]);
    let heard = async |count: usize| {
        eventually("the messages are shown", async || {
            let lines = tail.output();
            let bodies: Vec<String> = lines
                .iter()
                .filter_map(|line| Some(line.split_once("  me: ")?.1.to_owned()))
                .collect();
            (bodies.len() >= count).then_some(bodies)
        })
        .await
    };
    assert_eq!(heard(1).await, ["1"]);
    said(&fixture, &["send", "a", "2", "--sender", "me"]).await;
    assert_eq!(heard(2).await, ["1", "2"]);
    replica.kill().await;
    said(&fixture, &["send", "a", "3", "--sender", "me"]).await;
    replica.restart();
    said(&fixture, &["send", "a", "4", "--sender", "me"]).await;
    assert_eq!(heard(4).await, ["1", "2", "3", "4"]);
    let lost = tail.output().iter().any(|line| line.ends_with("no message is skipped"));
    assert!(lost, "{:?}", tail.output());
}

#[apply(both!)]
async fn an_import_tells_the_lines_that_it_refuses(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chats.jsonl");
    let lines =
        "{\"jid\": \"a\", \"name\": \"Ann\"}\n\nnot json\n{\"jid\": \"\"}\n{\"jid\": \"b\"}";
    fs::write(&file, lines).unwrap();
    let file = file.to_str().unwrap();
    let (status, words, complaint) = chat(&fixture, &["import", file]).await;
    assert_eq!((status, words.as_str()), (Some(1), "2 created, 0 updated, 2 refused\n"));
    let complaints: Vec<&str> = complaint.lines().collect();
    assert_eq!(complaints.len(), 2, "{complaint}");
    assert!(complaints[0].starts_with("line 3: expected"), "{complaint}");
    assert!(complaints[1].starts_with("line 4: chat.jid: required"), "{complaint}");

    // What is listed can be imported.
    let listed = said(&fixture, &["list", "--json"]).await;
    fs::write(file, listed).unwrap();
    assert_eq!(said(&fixture, &["import", file]).await, "0 created, 2 updated, 0 refused\n");
    let (status, _, complaint) = chat(&fixture, &["import", "nowhere.jsonl"]).await;
    assert_eq!(status, Some(1));
    assert!(complaint.contains("nowhere.jsonl: No such file"), "{complaint}");
}
