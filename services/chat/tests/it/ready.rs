//! `chat ready`: what it prints, where, and how it exits.

use std::process::Output;

use serde_json::Value;
use testing::{Backend, apply, both, eventually, upgrade};
use tokio::process::Command;
use tonic_health::pb::health_check_response::ServingStatus::Serving;

use crate::fixture::Fixture;

/// Runs `chat ready` with some flags: its exit status, standard output and standard error.
async fn ready(url: &str, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command.arg("ready").args(flags).env_clear().env("CHAT_URL", url);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[apply(both!)]
async fn it_prints_open_or_closed_and_why(backend: Backend) {
    let fixture = Fixture::on(backend.at("0001").await).await;
    let url = format!("http://{}", fixture.chat);
    let closed = eventually("the gate has looked", async || {
        let (status, said, complaint) = ready(&url, &[]).await;
        assert_eq!((status, complaint.as_str()), (Some(3), ""));
        said.contains("SCHEMA_NOT_AT_HEAD").then_some(said)
    })
    .await;
    assert!(closed.starts_with("closed since 2"), "{closed}");
    for words in [
        "\n  schema    fails  schema is at 0001 but this build requires 0006",
        "\n  database  ?      not checked: proof \"schema\" fails\n  models    ?",
        "\nthe schema service answered 2",
        "\nrequires 0006, built with ",
    ] {
        assert!(closed.contains(words), "{words:?} is missing in:\n{closed}");
    }

    upgrade(fixture.schema, "").await.unwrap();
    fixture.is(Serving).await;
    let (status, open, complaint) = ready(&url, &[]).await;
    assert_eq!((status, complaint.as_str()), (Some(0), ""));
    assert!(open.starts_with("open since 2"), "{open}");
    for proof in ["schema  ", "database", "models  "] {
        assert!(open.contains(&format!("\n  {proof}  holds  ")), "{proof}: {open}");
    }
}

#[apply(both!)]
async fn programs_read_json(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let (status, said, complaint) =
        ready("", &["--json", "--chat-url", &format!("http://{}", fixture.chat)]).await;
    assert_eq!((status, complaint.as_str()), (Some(0), ""));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["open"], &said["reason"]), (&true.into(), &"".into()));
    let proofs = said["proofs"].as_array().unwrap();
    assert!(proofs.iter().all(|proof| proof["holds"] == true), "{said}");
    assert_eq!(proofs.len(), 3);
    assert!(said["since"].is_string() && said["heardAt"].is_string(), "{said}");
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_reported() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let (status, said, complaint) = ready(&url, &[]).await;
    assert_eq!((status, said.as_str()), (Some(1), ""));
    assert!(complaint.starts_with("chat: the chat service at http://127.0.0.1:"), "{complaint}");
    assert!(complaint.contains("chat serve"), "{complaint}");

    let (status, _, complaint) = ready(&url, &["--json"]).await;
    assert_eq!(status, Some(1));
    let complaint: Value = serde_json::from_str(&complaint).unwrap();
    assert_eq!(complaint["error"]["reason"], "CHAT_UNREACHABLE");

    let (status, ..) = ready("localhost:50052", &[]).await;
    assert_eq!(status, Some(2));
}
