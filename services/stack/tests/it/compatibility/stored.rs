//! Databases, tokens and files of commit 865dd92, opened with today's build.

use std::{collections::BTreeMap, fs};

use api::{
    chat::v1::{
        ListChatsRequest, RetryDeliveryRequest, bot_service_client::BotServiceClient,
        chat_service_client::ChatServiceClient,
    },
    schema::v1::{Status, event::Kind, operation::Outcome},
};
use serde_json::Value;
use testing::{Backend, TestDatabase, apply, both, channel, current, downgrade, reason, upgrade};

use super::{
    Build::Current,
    commands::documents,
    content::Worker,
    directory, fixture,
    lists::{Kept, List, Servers, subscribe},
    record::{AUTOCOMMIT, COMMANDS, topics},
    rights::{self, Rights},
};
use crate::migrations::Migrations;

/// A database that holds a dump of the old release.
async fn load(backend: Backend, stage: &str) -> TestDatabase {
    let database = backend.empty().await;
    database.execute(&read(backend, &format!("{stage}.sql"))).await;
    database
}

fn read(backend: Backend, name: &str) -> String {
    fs::read_to_string(fixture(directory(backend)).join(name)).unwrap()
}

/// Fields that differ between two runs, or that no program may depend on: texts for people.
const IGNORED: [&str; 7] =
    ["checkedAt", "databaseId", "dependents", "digest", "message", "observedAt", "breaks"];

/// Checks that every old field has its value; new fields may exist.
fn assert_keeps(old: &Value, new: &Value, path: &str) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old.iter().filter(|(key, _)| !IGNORED.contains(&key.as_str())) {
                let kept = new.get(key).unwrap_or_else(|| panic!("{path}.{key} is missing"));
                assert_keeps(value, kept, &format!("{path}.{key}"));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{path}: {old:?} {new:?}");
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                assert_keeps(old, new, &format!("{path}[{at}]"));
            }
        }
        _ => assert_eq!(old, new, "{path}"),
    }
}

#[apply(both!)]
async fn commands_print_of_an_old_database_what_the_old_ones_printed(backend: Backend) {
    for stage in ["head", "half_way"] {
        let database = load(backend, stage).await;
        let schema = Current.schema(&database).await;
        for (name, arguments) in COMMANDS {
            // Half way, an upgrade began after these two were recorded.
            if stage == "half_way" && ["log", "current"].contains(&name) {
                continue;
            }
            let printed = Current.run_json(&schema, "schema", arguments).await;
            let recorded = read(backend, &format!("{stage}.{name}.jsonl"));
            let recorded: Vec<Value> =
                recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_keeps(&recorded.into(), &printed.into(), &format!("{stage} {name}"));
        }
    }
}

#[apply(both!)]
async fn page_tokens_and_cursors_lead_to_the_same_rows(backend: Backend) {
    let database = load(backend, "head").await;
    let schema = Current.schema(&database).await;
    let chat = Current.chat(&database, &schema).await;
    chat.gate_is(true).await;
    let kept: Kept = serde_json::from_str(&read(backend, "kept.json")).unwrap();
    let servers = Servers { schema: &schema, chat: &chat };
    for list in List::ALL {
        let pages = &kept.lists[&list];
        assert!(pages.len() > 1, "{list:?} has one page: no token was recorded");
        for page in &pages[1..] {
            let (rows, _) = list.page(servers, &kept.chat_id, &page.token).await;
            assert_eq!(rows, page.rows, "{list:?} after {}", page.token);
        }
    }
    for (at, (cursor, _)) in kept.cursors.iter().enumerate() {
        let following: Vec<&str> = kept.cursors[at + 1..].iter().map(|(_, id)| &**id).collect();
        for chat_id in [kept.chat_id.as_str(), ""] {
            let messages = subscribe(&chat, chat_id, cursor, following.len()).await;
            let ids: Vec<&str> = messages.iter().map(|message| &*message.id).collect();
            assert_eq!(ids, following, "after {cursor} in {chat_id:?}");
        }
    }
}

#[apply(both!)]
async fn deliveries_of_an_old_service_are_delivered(backend: Backend) {
    let database = load(backend, "head").await;
    // The lease of the worker that was killed has run out.
    let run_out = "update bot_deliveries set leased_until = available_at \
                   where leased_until is not null";
    database.execute(run_out).await;
    let schema = Current.schema(&database).await;
    let chat = Current.chat(&database, &schema).await;
    chat.gate_is(true).await;
    let mut bots = BotServiceClient::new(channel(chat.address));

    let mut silent = Worker::attend(&mut bots, "silent").await;
    let mut attempts = BTreeMap::new();
    for _ in 0..3 {
        let delivery = silent.next().await;
        attempts.insert(delivery.message.unwrap().body, delivery.attempt);
        silent.answer(delivery.delivery_id, "", "").await;
    }
    let expected = [("question 0", 2), ("question 1", 1), ("question 2", 1)];
    assert_eq!(attempts, expected.map(|(body, attempt)| (body.to_owned(), attempt)).into());

    let parked = "select message_id from (select m.id as message_id, d.position from \
                  bot_deliveries d join messages m on m.position = d.position \
                  where d.parked_at is not null) p order by position";
    let message_id = database.column(parked).await[0].clone().unwrap();
    let bot = "select id from bots where type = 'failing'";
    let bot_id = database.column(bot).await[0].clone().unwrap();
    let request = RetryDeliveryRequest { message_id: message_id.clone(), bot_id };
    bots.retry_delivery(request).await.unwrap();
    let delivery = Worker::attend(&mut bots, "failing").await.next().await;
    assert_eq!(delivery.message.unwrap().id, message_id);
}

#[apply(both!)]
async fn a_dependent_that_an_old_server_registered_holds_a_downgrade_back(backend: Backend) {
    let database = load(backend, "head").await;
    let extend = "update schemagate_dependents set expires_at = '2999-01-01 00:00:00.000000'";
    database.execute(extend).await;
    let schema = Current.schema(&database).await;
    let known = current(schema.address).await.dependents;
    assert!(!known.is_empty());
    assert!(known.iter().all(|known| known.service == "chat" && known.requires == "0006"));
    let arguments = ["downgrade", "-1", "--allow-data-loss", "--json"];
    let refused = Current.run(&schema, "schema", &arguments).await;
    assert!(!refused.status.success());
    let printed = String::from_utf8([refused.stdout, refused.stderr].concat()).unwrap();
    assert!(printed.contains("DEPENDENTS_WOULD_BREAK"), "{printed}");
}

#[apply(both!)]
async fn an_old_database_is_downgraded_and_upgraded(backend: Backend) {
    let database = load(backend, "head").await;
    let schema = Current.schema(&database).await;
    downgrade(schema.address, "base").await.unwrap();
    assert_eq!(current(schema.address).await.status(), Status::Empty);
    upgrade(schema.address, "head").await.unwrap();
    assert!(current(schema.address).await.at_head);
}

#[apply(both!)]
async fn an_interrupted_upgrade_from_half_way_is_completed(backend: Backend) {
    let database = load(backend, "half_way").await;
    let schema = Current.schema(&database).await;
    let chat = Current.chat(&database, &schema).await;
    assert_eq!(current(schema.address).await.revision, "0003");

    let events = upgrade(schema.address, "head").await.unwrap();
    let finished = events.iter().filter(|event| event.kind() == Kind::StepFinished);
    let revisions: Vec<&str> = finished.map(|event| &*event.revision).collect();
    assert_eq!(revisions, ["0004", "0005", "0006"]);
    let log = Current.run_json(&schema, "schema", &["log"]).await;
    let outcomes: Vec<&str> = log.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    let expected = [Outcome::Succeeded, Outcome::Interrupted, Outcome::Succeeded];
    assert_eq!(outcomes, expected.map(|outcome| outcome.as_str_name()));

    chat.gate_is(true).await;
    let mut chats = ChatServiceClient::new(channel(chat.address));
    let listed = chats.list_chats(ListChatsRequest::default()).await.unwrap().into_inner().chats;
    let jids: Vec<&str> = listed.iter().map(|chat| &*chat.jid).collect();
    assert_eq!(jids.len(), 2, "{jids:?}");
    let old = listed.iter().find(|chat| chat.jid == "old@g.us").unwrap();
    assert_eq!((old.name.as_str(), old.r#type().as_str_name()), ("Old", "CHAT_TYPE_GROUP"));
    assert!(old.metadata.as_ref().unwrap().fields.contains_key("topic"));
}

#[apply(both!)]
async fn a_step_is_continued_from_an_old_checkpoint(backend: Backend) {
    let database = load(backend, "checkpoint").await;
    let migrations = Migrations::built_in(backend).with(
        "0007_topics",
        AUTOCOMMIT,
        &topics(backend, "name"),
        "drop table topics;\n",
    );
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_MIGRATIONS_DIR", migrations.path())];
    let schema = Current.serve("schema", &env).await;
    assert_eq!(current(schema.address).await.status(), Status::Failed);
    upgrade(schema.address, "head").await.unwrap();
    assert_eq!(current(schema.address).await.revision, "0007");
}

#[apply(both!)]
async fn an_altered_text_differs_from_the_checksum_in_an_old_ledger(backend: Backend) {
    let database = load(backend, "head").await;
    let altered = Migrations::built_in(backend)
        .with_statement("0002_add_last_message_at_to_chats", "select 1");
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_MIGRATIONS_DIR", altered.path())];
    let schema = Current.serve("schema", &env).await;
    let state = current(schema.address).await;
    assert_eq!((state.status(), &state.altered[..]), (Status::Diverged, &["0002".to_owned()][..]));
    let refused = upgrade(schema.address, "head").await.unwrap_err();
    assert_eq!(reason(&refused), "REVISIONS_ALTERED");
}

#[tokio::test(flavor = "multi_thread")]
async fn access_files_give_the_same_rights() {
    let database = Backend::Sqlite.at_head().await;
    let file = |service: &str| fixture(&format!("{service}-callers.toml")).display().to_string();
    let tokens = rights::recorded_tokens();
    let (schema, chat) = (file("schema"), file("chat"));
    let measured = rights::measure(Current, &database, &tokens, &schema, &chat).await;
    let recorded = fs::read_to_string(fixture("rights.json")).unwrap();
    let recorded: Rights = serde_json::from_str(&recorded).unwrap();
    for (caller, methods) in recorded {
        for (method, outcome) in methods {
            assert_eq!(measured[&caller][&method], outcome, "{caller} {method}");
        }
    }
}

/// The variables that a compose file sets for our services.
fn variables(compose: &str) -> Vec<(&str, &str)> {
    let pairs = compose.lines().filter_map(|line| line.trim().split_once(": "));
    let is_ours = |name: &str| {
        ["SCHEMA_", "CHAT_", "DATABASE_URL", "LOG"].iter().any(|prefix| name.starts_with(prefix))
    };
    pairs
        .filter(|(name, _)| is_ours(name))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_of_a_compose_deployment_are_read() {
    let mut help = String::new();
    for (service, command) in
        [("schema", "serve"), ("schema", "current"), ("chat", "serve"), ("chat", "ready")]
    {
        let mut run = tokio::process::Command::new(Current.binary(service));
        let output = run.args([command, "--help"]).env_clear().output().await.unwrap();
        help += &String::from_utf8(output.stdout).unwrap();
    }
    for file in ["docker-compose.yml", "docker-compose.prod.yml"] {
        let compose = fs::read_to_string(fixture(file)).unwrap();
        let variables = variables(&compose);
        assert!(variables.len() > 4, "{variables:?}");
        for (name, _) in variables {
            assert!(documents(&help, name), "{file} sets {name}: not in --help");
        }
    }

    // Development's values, but for the database.
    let compose = fs::read_to_string(fixture("docker-compose.yml")).unwrap();
    let database = Backend::Sqlite.empty().await;
    let mut env: BTreeMap<&str, &str> = variables(&compose).into_iter().collect();
    env.insert("DATABASE_URL", database.url());
    let schema = Current.serve("schema", &env.clone().into_iter().collect::<Vec<_>>()).await;
    assert!(current(schema.address).await.at_head, "SCHEMA_UPGRADE_ON_START is true");
    let url = schema.url();
    env.insert("SCHEMA_URL", &url);
    let chat = Current.serve("chat", &env.into_iter().collect::<Vec<_>>()).await;
    chat.gate_is(true).await;
}
