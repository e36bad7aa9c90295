//! Invalid and refused secrets: errors name the problem without the secret.

use std::fs;

use testing::{Authority, Backend, Nats, Process, SecurePostgres, call, channel, eventually};

use super::{LOG, PLANTED};
use crate::services::binary;

/// Waits for a line with this text, and checks that no line contains a secret.
async fn logs_without_secret(process: &Process, what: &str) {
    eventually(what, async || {
        process.output().iter().any(|line| line.contains(what)).then_some(())
    })
    .await;
    assert_no_secret(process);
}

fn assert_no_secret(process: &Process) {
    let lines = process.output();
    assert!(!lines.iter().any(|line| line.contains(PLANTED)), "{lines:#?}");
}

#[tokio::test]
async fn an_invalid_secret_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("url");
    fs::write(&file, format!("mysql://me:{PLANTED}@host/name")).unwrap();
    let (file, of_nats) = (file.to_str().unwrap(), format!("http://me:{PLANTED}@host"));
    let (broken, two) = (format!("postgres://me:{PLANTED}@host:port/x"), format!("{PLANTED} two"));
    let of_service = format!("http://me:{PLANTED}@127.0.0.1:1");
    let sqlite = ("DATABASE_URL", "sqlite:a.db");
    for (service, command, env) in [
        ("schema", "serve", vec![("DATABASE_URL_FILE", file)]),
        ("schema", "serve", vec![("DATABASE_URL", &broken)]),
        ("schema", "current", vec![("SCHEMA_URL", &of_service)]),
        ("schema", "current", vec![("SCHEMA_TOKEN", &two)]),
        ("chat", "serve", vec![("DATABASE_URL_FILE", file)]),
        ("chat", "serve", vec![sqlite, ("CHAT_BUS", &of_nats)]),
        ("chat", "serve", vec![sqlite, ("SCHEMA_TOKEN", &two)]),
        ("chat", "serve", vec![sqlite, ("SCHEMA_URL", &of_service)]),
        ("chat", "ready", vec![("CHAT_URL", &of_service)]),
    ] {
        let mut process = Process::start(binary(service), &[command], &env);
        assert!(!process.ended().await.success(), "{service} {command} with {env:?}");
        logs_without_secret(&process, "invalid value").await;
    }
}

#[tokio::test]
async fn help_shows_no_secret_of_the_environment() {
    let (database, nats) =
        (format!("postgres://{PLANTED}@host/x"), format!("nats://a:{PLANTED}@b"));
    let service = format!("http://me:{PLANTED}@host");
    let env = [
        ("DATABASE_URL", database.as_str()),
        ("CHAT_BUS", &nats),
        ("SCHEMA_URL", &service),
        ("CHAT_URL", &service),
        ("SCHEMA_TOKEN", PLANTED),
        ("CHAT_TOKEN", PLANTED),
    ];
    for (service, command) in [
        ("schema", "serve"),
        ("schema", "current"),
        ("schema", "describe"),
        ("chat", "serve"),
        ("chat", "ready"),
    ] {
        let mut process = Process::start(binary(service), &[command, "--help"], &env);
        assert!(process.ended().await.success());
        logs_without_secret(&process, "_URL").await;
    }
}

/// From a server that is down, and from one that refuses the password.
#[tokio::test]
async fn a_refused_password_is_not_repeated() {
    let authority = Authority::new();
    let postgres = SecurePostgres::start(&authority).await;
    let locked = format!("locked:{PLANTED}@127.0.0.1");
    for (url, expected) in [
        (format!("postgres://{locked}:1/x"), "Connection refused"),
        (postgres.url(&locked, "sslmode=disable"), "password authentication failed"),
    ] {
        let env = [LOG, ("DATABASE_URL", url.as_str())];
        let mut schema = Process::start(binary("schema"), &["serve"], &env);
        let channel = channel(schema.address("schema").await);
        let refused = call(channel, "/schema.v1.SchemaService/Plan", None).await.unwrap_err();
        assert!(!format!("{refused:?}").contains(PLANTED), "{refused:?}");
        logs_without_secret(&schema, expected).await;
    }
}

#[tokio::test]
async fn a_password_that_the_bus_refuses_is_not_logged() {
    let nats = Nats::with_login("chat", "another").await;
    let bus = nats.url().replace("another", PLANTED);
    let database = Backend::Sqlite.at_head().await;
    let env = [LOG, ("DATABASE_URL", database.url()), ("CHAT_BUS", &bus)];
    let mut chat = Process::start(binary("chat"), &["serve"], &env);
    chat.address("chat").await;
    logs_without_secret(&chat, "bus unavailable").await;
}
