//! The client commands: `chat list`, `create`, `send`, `tail` and `import`.

use std::{fs, process::Output};

use serde_json::Value;
use testing::{Backend, Process, apply, both, eventually};
use tokio::process::Command;

use crate::fixture::Fixture;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

/// Runs a command and returns its exit status, standard output and standard error.
async fn chat(fixture: &Fixture, arguments: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://{}", fixture.chat);
    let mut command = Command::new(CHAT);
    command.args(arguments).env_clear().env("CHAT_URL", url);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Runs a command that must succeed without output on standard error; returns its output.
async fn stdout_of(fixture: &Fixture, arguments: &[&str]) -> String {
    let (status, stdout, stderr) = chat(fixture, arguments).await;
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{arguments:?}: {stdout}");
    stdout
}

#[apply(both!)]
async fn a_chat_is_created_messages_are_sent_and_listed(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (_, nothing, hint) = chat(&fixture, &["list"]).await;
    assert_eq!(
        (nothing.as_str(), hint.as_str()),
        ("", "no chats; run \"chat create JID\" to create one\n")
    );
    let (status, _, stderr) = chat(&fixture, &["send", "a@g.us", "hello"]).await;
    assert_eq!(status, Some(1));
    assert!(stderr.contains("chat a@g.us not found\n  run \"chat list\""), "{stderr}");

    let created =
        stdout_of(&fixture, &["create", "a@g.us", "--name", "Friends", "--type", "group"]).await;
    assert_eq!(created, format!("{:<20}  group    a@g.us  Friends\n", "-"));
    let sent = stdout_of(&fixture, &["send", "a@g.us", "hello\u{1b}[2J", "--sender", "me"]).await;
    assert!(sent.contains("Z  sent 0"), "{sent}");
    let listed = stdout_of(&fixture, &["list", "--type", "group"]).await;
    assert!(listed.starts_with("20") && listed.ends_with("group    a@g.us  Friends\n"), "{listed}");
    assert_eq!(chat(&fixture, &["list", "--type", "private"]).await.1, "");
    let json: Value =
        serde_json::from_str(&stdout_of(&fixture, &["list", "--json"]).await).unwrap();
    assert_eq!((&json["jid"], &json["type"]), (&"a@g.us".into(), &"CHAT_TYPE_GROUP".into()));
    assert_eq!(stdout_of(&fixture, &["list", "--limit", "0"]).await, "");
}

#[apply(both!)]
async fn tail_resumes_after_its_server_was_killed(backend: Backend) {
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
    stdout_of(&fixture, &["create", "a"]).await;
    stdout_of(&fixture, &["send", "a", "1", "--sender", "me"]).await;
    let tail = Process::start(CHAT, &["tail", "a"], &[("CHAT_URL", &url)]);
    let shown = async |count: usize| {
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
    assert_eq!(shown(1).await, ["1"]);
    stdout_of(&fixture, &["send", "a", "2", "--sender", "me"]).await;
    assert_eq!(shown(2).await, ["1", "2"]);
    replica.kill().await;
    stdout_of(&fixture, &["send", "a", "3", "--sender", "me"]).await;
    replica.restart();
    stdout_of(&fixture, &["send", "a", "4", "--sender", "me"]).await;
    assert_eq!(shown(4).await, ["1", "2", "3", "4"]);
    let lost = tail.output().iter().any(|line| line.ends_with("no message is skipped"));
    assert!(lost, "{:?}", tail.output());
}

#[apply(both!)]
async fn import_reports_the_lines_that_it_refuses(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chats.jsonl");
    let lines =
        "{\"jid\": \"a\", \"name\": \"Ann\"}\n\nnot json\n{\"jid\": \"\"}\n{\"jid\": \"b\"}";
    fs::write(&file, lines).unwrap();
    let file = file.to_str().unwrap();
    let (status, stdout, stderr) = chat(&fixture, &["import", file]).await;
    assert_eq!((status, stdout.as_str()), (Some(1), "2 created, 0 updated, 2 refused\n"));
    let lines_of_stderr: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines_of_stderr.len(), 2, "{stderr}");
    assert!(lines_of_stderr[0].starts_with("line 3: expected"), "{stderr}");
    assert!(lines_of_stderr[1].starts_with("line 4: chat.jid: required"), "{stderr}");

    // What is listed can be imported.
    let listed = stdout_of(&fixture, &["list", "--json"]).await;
    fs::write(file, listed).unwrap();
    assert_eq!(stdout_of(&fixture, &["import", file]).await, "0 created, 2 updated, 0 refused\n");
    let (status, _, stderr) = chat(&fixture, &["import", "nowhere.jsonl"]).await;
    assert_eq!(status, Some(1));
    assert!(stderr.contains("nowhere.jsonl: No such file"), "{stderr}");
}
