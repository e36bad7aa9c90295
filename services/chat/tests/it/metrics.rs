//! The metrics of the chat service.

use api::chat::v1::{ListChatsRequest, chat_service_client::ChatServiceClient};
use testing::{Backend, Process, Scrape, apply, both, channel, eventually, upgrade};
use tonic_health::pb::health_check_response::ServingStatus::Serving;

use crate::fixture::{Fixture, message};

#[apply(both!)]
async fn metrics_report_the_gate_and_call_durations(backend: Backend) {
    let fixture = Fixture::on(backend.at("0001").await).await;
    let schema_url = format!("http://{}", fixture.schema);
    let env = [
        ("DATABASE_URL", fixture.database.url()),
        ("SCHEMA_URL", &schema_url),
        ("CHAT_METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let mut process = Process::start(env!("CARGO_BIN_EXE_chat"), &["serve"], &env);
    let (chat, scrapes) = (process.address("chat").await, process.address("chat-metrics").await);
    let mut client = ChatServiceClient::new(channel(chat));

    // Closed, and scraped all the same: metrics are behind no gate.
    client.list_chats(ListChatsRequest::default()).await.unwrap_err();
    let refused = calls("ListChats", "UNAVAILABLE");
    let closed = eventually("the call is counted", async || {
        Some(Scrape::of(scrapes).await).filter(|scrape| scrape.get(&refused) == Some(1.0))
    })
    .await;
    assert_eq!(closed.value("gate_open"), 0.0);
    let reasons = ["SCHEMA_NOT_AT_HEAD", "SCHEMA_UNREACHABLE"]
        .map(|reason| closed.value(&format!("gate_refusals_total{{reason=\"{reason}\"}}")));
    assert_eq!(reasons.iter().sum::<f64>(), 1.0);

    upgrade(fixture.schema, "").await.unwrap();
    eventually("the gate opens", async || {
        (Scrape::of(scrapes).await.value("gate_open") == 1.0).then_some(())
    })
    .await;
    fixture.is(Serving).await;
    let chat_id = fixture.chat("a@s.whatsapp.net").await;
    client.send_message(message(&chat_id, "a s3cret")).await.unwrap();
    let open = eventually("the call is counted", async || {
        let scrape = Scrape::of(scrapes).await;
        Some(scrape).filter(|scrape| scrape.get(&calls("SendMessage", "OK")) == Some(1.0))
    })
    .await;
    assert!(open.value("gate_opening_seconds") > 0.0);
    assert!(open.value("gate_knowledge_age_seconds") < 30.0);
    assert_eq!(open.value("gate_proof_holds{proof=\"models\"}"), 1.0);
    for secret in [fixture.database.url(), "s3cret", "whatsapp", &chat_id] {
        assert!(!open.text.contains(secret), "{secret}: {}", open.text);
    }
    assert!(process.terminate().await.success());
}

fn calls(method: &str, code: &str) -> String {
    format!(
        "rpc_duration_seconds_count{{service=\"chat.v1.ChatService\",method=\"{method}\",code=\"{code}\"}}"
    )
}
