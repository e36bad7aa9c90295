//! Both services with access files; the chat service is a caller of the schema service.

use std::fs;

use testing::{AccessFile, Backend, Process, apply, both, eventually, token};
use tokio::process::Command;

use crate::services::binary;

#[apply(both!)]
async fn a_chat_service_authenticates_and_reloads_its_token(backend: Backend) {
    let database = backend.at_head().await;
    let of_schema = AccessFile::of(&[("chat", "reader")]);
    let of_chat = AccessFile::of(&[("backend", "service")]);
    let secret = of_schema.token_file("unknown");
    let file = |callers: &AccessFile| callers.path().display().to_string();
    let (schema_file, chat_file, secret_file) =
        (file(&of_schema), file(&of_chat), secret.display().to_string());
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_ACCESS_FILE", &schema_file)];
    let mut schema = Process::start(binary("schema"), &["serve"], &env);
    let url = format!("http://{}", schema.address("schema").await);
    let env = [
        ("DATABASE_URL", database.url()),
        ("SCHEMA_URL", &url),
        ("SCHEMA_TOKEN_FILE", &secret_file),
        ("CHAT_ACCESS_FILE", &chat_file),
    ];
    let mut chat = Process::start(binary("chat"), &["serve"], &env);
    let url = format!("http://{}", chat.address("chat").await);
    let ready = async || {
        let mut command = Command::new(binary("chat"));
        command.arg("ready").env_clear().env("CHAT_URL", &url);
        let output = command.env("CHAT_TOKEN", token("backend")).output().await.unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(printed).unwrap())
    };
    let closed = eventually("the gate reports that the token is unknown", async || {
        let (status, printed) = ready().await;
        (status == Some(3) && printed.contains("no caller in the access file has this token"))
            .then_some(printed)
    })
    .await;
    assert!(!closed.contains("planted"), "{closed}");

    fs::write(&secret, token("chat")).unwrap();
    eventually("it opens with the new token", async || {
        let (status, _) = ready().await;
        (status == Some(0)).then_some(())
    })
    .await;
    for process in [&schema, &chat] {
        assert!(!process.output().iter().any(|line| line.contains("planted")));
    }
}
