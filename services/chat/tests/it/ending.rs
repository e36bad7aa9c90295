//! SIGTERM, with the real binary: who probes is given the time to see it, and no call is lost.
//! What ends around it, such as who reads its log, does not take it along.

use api::chat::v1::{ListChatsRequest, chat_service_client::ChatServiceClient};
use testing::{Backend, Process, apply, both, channel, eventually, health};
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::fixture::Fixture;

#[apply(both!)]
async fn it_serves_until_its_probers_have_seen_that_it_ends(backend: Backend) {
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
    let told = async |status| {
        eventually("health says so", async || {
            (health(address, "").await.ok()? == status).then_some(())
        })
        .await;
    };
    told(Serving).await;
    let mut client = ChatServiceClient::new(channel(address));
    let mut list = async || client.list_chats(ListChatsRequest::default()).await;
    list().await.unwrap();

    process.send_sigterm();
    told(NotServing).await;
    list().await.unwrap();
    told(NotServing).await;
    assert!(process.ended().await.success());
}

#[apply(both!)]
async fn a_log_that_nobody_reads_any_more_stops_nothing(backend: Backend) {
    let fixture = Fixture::ready(backend).await;
    let schema_url = format!("http://{}", fixture.schema);
    let env = [("DATABASE_URL", fixture.database.url()), ("SCHEMA_URL", &schema_url)];
    // Standard error is a pipe whose reader has ended.
    let script = r#"exec "$0" serve 2> >(:)"#;
    let arguments = ["-c", script, env!("CARGO_BIN_EXE_chat")];
    let mut process = Process::start("/bin/bash", &arguments, &env);
    let mut client = ChatServiceClient::new(channel(process.address("chat").await));
    eventually("it serves", async || client.list_chats(ListChatsRequest::default()).await.ok())
        .await;
    assert!(process.terminate().await.success());
}
