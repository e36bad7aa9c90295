//! A rolling release under load: a schema service with one more revision, its upgrade, restart and
//! kill, then a restart of each replica of the chat service.

use std::{collections::BTreeSet, net::SocketAddr, time::SystemTime};

use api::{
    chat::v1::{Chat, CreateChatRequest, chat_service_client::ChatServiceClient},
    gate::v1::{ReadinessRequest, readiness_service_client::ReadinessServiceClient},
};
use testing::{Backend, Process, TestDatabase, apply, both, channel, current, eventually, upgrade};

use crate::{
    load::Load,
    migrations::Migrations,
    services::{binary, chat, schema},
};

const REPLICAS: usize = 3;

#[apply(both!)]
async fn a_rolling_release_fails_no_call(backend: Backend) {
    let database = backend.at_head().await;
    let mut old = schema(&database);
    let address = old.address("schema").await;
    // The first operation creates the bookkeeping tables.
    upgrade(address, "head").await.unwrap();
    let mut replicas: Vec<Process> = (0..REPLICAS).map(|_| chat(&database, address)).collect();
    let mut addresses = Vec::new();
    for replica in &mut replicas {
        addresses.push(replica.address("chat").await);
        wait_until_open(addresses[addresses.len() - 1]).await;
    }
    let load = Load::start(&addresses, &a_chat(addresses[0]).await);
    load.wait_for_calls().await;

    load.phase("a schema service with one revision more takes the place of the old one");
    assert!(old.terminate().await.success());
    let migrations = with_one_more(backend);
    let mut schema = newer(&database, address, &migrations);
    schema.address("schema").await;
    let state = current(address).await;
    assert_eq!(state.pending.len(), 1, "{state:?}");
    wait_until_reconnected(&addresses).await;
    load.wait_for_calls().await;

    load.phase("the upgrade");
    upgrade(address, "head").await.unwrap();
    assert!(current(address).await.at_head);
    load.wait_for_calls().await;

    load.phase("the schema service is restarted");
    assert!(schema.terminate().await.success());
    load.wait_for_calls().await;
    schema.restart();
    schema.address("schema").await;
    wait_until_reconnected(&addresses).await;

    load.phase("the schema service is killed");
    schema.kill().await;
    load.wait_for_calls().await;
    schema.restart();
    schema.address("schema").await;
    wait_until_reconnected(&addresses).await;

    load.phase("each replica is restarted in turn");
    for (number, replica) in replicas.iter_mut().enumerate() {
        load.set_restarting(number, true);
        assert!(replica.terminate().await.success());
        load.wait_for_calls().await;
        replica.restart();
        replica.address("chat").await;
        wait_until_open(addresses[number]).await;
        load.set_restarting(number, false);
        load.wait_for_calls().await;
    }

    let seen = load.end().await;
    println!(
        "{backend:?}: {} calls answered, {} messages stored; retried at another replica: \
         {} after UNAVAILABLE, {} after a closed connection",
        seen.answered,
        seen.sent.len(),
        seen.unavailable,
        seen.unsent
    );
    assert!(seen.failures.is_empty(), "{} failures: {:#?}", seen.failures.len(), seen.failures);
    let stored: BTreeSet<String> =
        database.column("select id from messages").await.into_iter().flatten().collect();
    let lost: Vec<&String> = seen.sent.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged but not stored: {lost:?}");
}

/// A schema service at an address, with these revisions.
fn newer(database: &TestDatabase, address: SocketAddr, migrations: &Migrations) -> Process {
    let address = address.to_string();
    let env = [
        ("DATABASE_URL", database.url()),
        ("SCHEMA_LISTEN", &address),
        ("SCHEMA_MIGRATIONS_DIR", migrations.path()),
    ];
    Process::start(binary("schema"), &["serve"], &env)
}

/// The built-in revisions, and one that adds a column which no build requires.
fn with_one_more(backend: Backend) -> Migrations {
    Migrations::built_in(backend).with(
        "9999_expand",
        "run_in_transaction = true\n",
        "alter table chats add column topic text;\n",
        "alter table chats drop column topic;\n",
    )
}

async fn a_chat(address: SocketAddr) -> String {
    let chat = Chat { jid: "room@test".into(), ..Chat::default() };
    let request = CreateChatRequest { chat: Some(chat) };
    let made = ChatServiceClient::new(channel(address)).create_chat(request).await;
    made.unwrap().into_inner().chat.unwrap().id
}

async fn wait_until_open(address: SocketAddr) {
    let mut gate = ReadinessServiceClient::new(channel(address));
    eventually("the gate opens", async || {
        let readiness = gate.readiness(ReadinessRequest {}).await.ok()?;
        readiness.into_inner().open.then_some(())
    })
    .await;
}

/// Waits until every replica has an answer of the current schema service.
async fn wait_until_reconnected(addresses: &[SocketAddr]) {
    let since = SystemTime::now();
    for address in addresses {
        let mut gate = ReadinessServiceClient::new(channel(*address));
        eventually("the gate has an answer of the schema service", async || {
            let readiness = gate.readiness(ReadinessRequest {}).await.ok()?.into_inner();
            assert!(readiness.open, "{readiness:?}");
            let answered = SystemTime::try_from(readiness.heard_at?).ok()?;
            (answered > since).then_some(())
        })
        .await;
    }
}
