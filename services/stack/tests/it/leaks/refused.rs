//! Secrets that are of no use, or refused by whom they are shown to: what is wrong is said without
//! them.

use std::fs;

use testing::{Authority, Backend, Nats, Process, SecurePostgres, call, channel, eventually};

use super::{LOG, PLANTED};
use crate::services::binary;

/// Waits for a line that says what the test is about, and holds all lines to their silence.
async fn heard(process: &Process, what: &str) {
    eventually(what, async || {
        process.output().iter().any(|line| line.contains(what)).then_some(())
    })
    .await;
    silent(process);
}

fn silent(process: &Process) {
    let said = process.output();
    assert!(!said.iter().any(|line| line.contains(PLANTED)), "{said:#?}");
}

#[tokio::test]
async fn a_secret_that_is_of_no_use_is_not_repeated() {
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
        heard(&process, "invalid value").await;
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
        heard(&process, "_URL").await;
    }
}

/// A server that is away, and one that does not take the password.
#[tokio::test]
async fn a_password_that_is_refused_is_not_repeated() {
    let authority = Authority::new();
    let postgres = SecurePostgres::start(&authority).await;
    let locked = format!("locked:{PLANTED}@127.0.0.1");
    for (url, heard_of) in [
        (format!("postgres://{locked}:1/x"), "Connection refused"),
        (postgres.url(&locked, "sslmode=disable"), "password authentication failed"),
    ] {
        let env = [LOG, ("DATABASE_URL", url.as_str())];
        let mut schema = Process::start(binary("schema"), &["serve"], &env);
        let channel = channel(schema.address("schema").await);
        let refused = call(channel, "/schema.v1.SchemaService/Plan", None).await.unwrap_err();
        assert!(!format!("{refused:?}").contains(PLANTED), "{refused:?}");
        heard(&schema, heard_of).await;
    }
}

#[tokio::test]
async fn a_bus_that_refuses_the_password_is_told_without_it() {
    let nats = Nats::with_login("chat", "another").await;
    let bus = nats.url().replace("another", PLANTED);
    let database = Backend::Sqlite.at_head().await;
    let env = [LOG, ("DATABASE_URL", database.url()), ("CHAT_BUS", &bus)];
    let mut chat = Process::start(binary("chat"), &["serve"], &env);
    chat.address("chat").await;
    heard(&chat, "bus unavailable").await;
}
