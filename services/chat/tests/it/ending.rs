//! Shutdown of the real binary: probes see it before calls are refused. A closed log pipe does not
//! stop the server.

use api::chat::v1::{ListChatsRequest, chat_service_client::ChatServiceClient};
use testing::{Backend, Process, apply, both, channel, eventually, health};
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::fixture::Fixture;

#[apply(both!)]
async fn calls_succeed_until_probes_have_seen_not_serving(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let schema_url = format!("http://{}", fixture.schema);
    let env = [
        ("DATABASE_URL", fixture.database.url()),
        ("SCHEMA_URL", &schema_url),
        ("CHAT_NOTICE", "1h"),
        ("CHAT_PROBE_FAILURES", "2"),
    ];
    let mut process = Process::start(env!("CARGO_BIN_EXE_chat"), &["serve"], &env);
    let address = process.address("chat").await;
    let reports = async |status| {
        eventually("health reports the status", async || {
            (health(address, "").await.ok()? == status).then_some(())
        })
        .await;
    };
    reports(Serving).await;
    let mut client = ChatServiceClient::new(channel(address));
    let mut list = async || client.list_chats(ListChatsRequest::default()).await;
    list().await.unwrap();

    process.send_sigterm();
    reports(NotServing).await;
    list().await.unwrap();
    reports(NotServing).await;
    assert!(process.ended().await.success());
}

#[apply(both!)]
async fn a_closed_log_pipe_does_not_stop_the_server(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let schema_url = format!("http://{}", fixture.schema);
    let env = [("DATABASE_URL", fixture.database.url()), ("SCHEMA_URL", &schema_url)];
    // Standard error is a pipe without a reader.
    let script = r#"exec "$0" serve 2> >(:)"#;
    let arguments = ["-c", script, env!("CARGO_BIN_EXE_chat")];
    let mut process = Process::start("/bin/bash", &arguments, &env);
    let mut client = ChatServiceClient::new(channel(process.address("chat").await));
    eventually("the server serves", async || {
        client.list_chats(ListChatsRequest::default()).await.ok()
    })
    .await;
    assert!(process.terminate().await.success());
}
