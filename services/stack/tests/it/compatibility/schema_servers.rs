//! A schema server of each build on one database, during a rolling release or a roll-back.

use api::schema::v1::{
    DowngradeRequest, Status, UpgradeRequest, event::Kind, operation::Outcome,
    schema_service_client::SchemaServiceClient,
};
use prost_types::Duration;
use testing::{Backend, apply, both, channel, current, downgrade, eventually, reason, upgrade};

use super::{
    Build, Server,
    record::{AUTOCOMMIT, topics},
};
use crate::{
    migrations::Migrations,
    slow_steps::{add_endless_trigger, drop_trigger},
};

/// Both servers report the same state, history and log, and no drift.
async fn assert_agree(one: &Server, other: &Server) {
    assert_same_state(one, other).await;
    for server in [one, other] {
        let drift = Build::Current.run_json(server, "schema", &["verify"]).await;
        assert_eq!(drift[0]["missing"], serde_json::json!([]));
    }
}

async fn assert_same_state(one: &Server, other: &Server) {
    let (mut here, mut there) = (current(one.address).await, current(other.address).await);
    for state in [&mut here, &mut there] {
        // Texts for people, and times of reading.
        state.message.clear();
        state.observed_at = None;
        if let Some(drift) = &mut state.drift {
            drift.checked_at = None;
        }
    }
    assert_eq!(here, there);
    for command in ["log", "history"] {
        let here = Build::Current.run_json(one, "schema", &[command]).await;
        let there = Build::Current.run_json(other, "schema", &[command]).await;
        assert_eq!(here, there, "{command}");
    }
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn upgrades_and_downgrades_go_through_either(backend: Backend) {
    for first in Build::BOTH {
        let database = backend.empty().await;
        let (one, other) = (first.schema(&database).await, first.other().schema(&database).await);
        assert_agree(&one, &other).await;
        upgrade(one.address, "0002").await.unwrap();
        assert_agree(&one, &other).await;
        upgrade(other.address, "0004").await.unwrap();
        assert_agree(&one, &other).await;
        upgrade(one.address, "head").await.unwrap();
        assert_agree(&one, &other).await;
        downgrade(other.address, "-2").await.unwrap();
        assert_agree(&one, &other).await;
        upgrade(other.address, "+1").await.unwrap();
        downgrade(one.address, "base").await.unwrap();
        assert_agree(&one, &other).await;
        upgrade(other.address, "head").await.unwrap();
        assert_agree(&one, &other).await;
        assert_eq!(current(one.address).await.status(), Status::AtHead);
    }
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn one_operation_runs_at_a_time_and_either_takes_over(backend: Backend) {
    for holder in Build::BOTH {
        let database = backend.empty().await;
        let mut holding = holder.schema(&database).await;
        let other = holder.other().schema(&database).await;
        upgrade(holding.address, "0001").await.unwrap();
        add_endless_trigger(backend, &database).await;
        let mut client = SchemaServiceClient::new(channel(holding.address));
        let mut events = client.upgrade(UpgradeRequest::default()).await.unwrap().into_inner();
        while events.message().await.unwrap().unwrap().event.unwrap().kind() != Kind::StepStarted {}

        eventually("the other server sees the operation", async || {
            current(other.address).await.running
        })
        .await;
        let wait = Some(Duration::default());
        let mut client = SchemaServiceClient::new(channel(other.address));
        let request = UpgradeRequest { target: "0002".into(), wait, ..Default::default() };
        let refused = match client.upgrade(request).await {
            Ok(stream) => stream.into_inner().message().await.unwrap_err(),
            Err(status) => status,
        };
        assert_eq!(reason(&refused), "OPERATION_RUNNING", "{holder:?} holds the lock");
        let target = "base".into();
        let request = DowngradeRequest { target, wait, force: true, ..Default::default() };
        let refused = match client.downgrade(request).await {
            Ok(stream) => stream.into_inner().message().await.unwrap_err(),
            Err(status) => status,
        };
        assert_eq!(reason(&refused), "OPERATION_RUNNING", "{holder:?} holds the lock");

        holding.process.kill().await;
        drop_trigger(backend, &database).await;
        upgrade(other.address, "head").await.unwrap();
        let log = holder.other().run_json(&other, "schema", &["log"]).await;
        let outcomes: Vec<&str> = log.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
        let expected = [Outcome::Succeeded, Outcome::Interrupted, Outcome::Succeeded];
        assert_eq!(
            outcomes,
            expected.map(|outcome| outcome.as_str_name()),
            "{holder:?} was killed"
        );
        holding.process.restart();
        holding.address = holding.process.address("schema").await;
        assert_agree(&holding, &other).await;
    }
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn a_checkpoint_of_either_is_continued_by_the_other(backend: Backend) {
    for first in Build::BOTH {
        let database = backend.at_head().await;
        let with_topics = |column: &str| {
            let up = topics(backend, column);
            Migrations::built_in(backend).with(
                "0007_topics",
                AUTOCOMMIT,
                &up,
                "drop table topics;\n",
            )
        };
        let broken = with_topics("title");
        let env = [("DATABASE_URL", database.url()), ("SCHEMA_MIGRATIONS_DIR", broken.path())];
        let one = first.serve("schema", &env).await;
        upgrade(one.address, "head").await.unwrap_err();
        let fixed = with_topics("name");
        let env = [("DATABASE_URL", database.url()), ("SCHEMA_MIGRATIONS_DIR", fixed.path())];
        let other = first.other().serve("schema", &env).await;
        upgrade(other.address, "head").await.unwrap();
        assert_eq!(current(other.address).await.revision, "0007");
    }
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn a_dependent_of_one_server_holds_the_other_back(backend: Backend) {
    for first in Build::BOTH {
        let database = backend.empty().await;
        let (one, other) = (first.schema(&database).await, first.other().schema(&database).await);
        upgrade(one.address, "head").await.unwrap();
        let chat = first.chat(&database, &one).await;
        chat.gate_is(true).await;
        eventually("the other server knows the dependent", async || {
            (current(other.address).await.dependents.len() == 1).then_some(())
        })
        .await;
        let mut client = SchemaServiceClient::new(channel(other.address));
        let request = DowngradeRequest {
            target: "-1".into(),
            allow_data_loss: true,
            ..DowngradeRequest::default()
        };
        let refused = match client.downgrade(request).await {
            Ok(stream) => stream.into_inner().message().await.unwrap_err(),
            Err(status) => status,
        };
        assert_eq!(reason(&refused), "DEPENDENTS_WOULD_BREAK");
        downgrade(other.address, "-1").await.unwrap();
        chat.gate_is(false).await;
        assert_agree(&one, &other).await;
    }
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn stamps_and_repairs_of_either_count_for_the_other(backend: Backend) {
    for first in Build::BOTH {
        let database = backend.empty().await;
        let (one, other) = (first.schema(&database).await, first.other().schema(&database).await);
        upgrade(one.address, "head").await.unwrap();
        first.run_ok(&one, "schema", &["stamp", "0005", "--force"]).await;
        assert_same_state(&one, &other).await;
        first.other().run_ok(&other, "schema", &["stamp", "0006"]).await;
        assert_agree(&one, &other).await;

        let altered = Migrations::built_in(backend)
            .with_statement("0002_add_last_message_at_to_chats", "select 1");
        let env = [("DATABASE_URL", database.url()), ("SCHEMA_MIGRATIONS_DIR", altered.path())];
        let (one, other) =
            (first.serve("schema", &env).await, first.other().serve("schema", &env).await);
        first.run_ok(&one, "schema", &["repair", "0002"]).await;
        eventually("the other server sees the repair", async || {
            current(other.address).await.altered.is_empty().then_some(())
        })
        .await;
        assert_agree(&one, &other).await;
    }
}
