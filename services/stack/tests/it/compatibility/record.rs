//! Writes the fixtures with the old binaries: `.ci/compatibility record`.
//!
//! The old services fill each database through their own calls. Then both services are killed, so
//! that their leases stay, and the database is dumped.

use std::{fs, path::PathBuf};

use api::schema::v1::{UpgradeRequest, event::Kind, schema_service_client::SchemaServiceClient};
use serde::Serialize;
use testing::{Backend, TestDatabase, apply, both, channel, current, upgrade};
use tokio::process::Command;

use super::{
    Build, Server,
    content::fill,
    directory, fixture,
    lists::{Kept, Servers},
    rights::{self, CALLERS},
};
use crate::{
    migrations::Migrations,
    slow_steps::{add_endless_trigger, drop_trigger},
};

/// Commands whose output with `--json` is recorded, and the names of their fixtures.
pub const COMMANDS: [(&str, &[&str]); 6] = [
    ("current", &["current"]),
    ("log", &["log", "--limit", "0"]),
    ("history", &["history"]),
    ("verify", &["verify"]),
    ("plan", &["plan"]),
    ("plan-downgrade", &["plan", "--downgrade", "base"]),
];

/// A statement mode of the checkpoint fixture's revision.
pub const AUTOCOMMIT: &str = "run_in_transaction = false\n";

/// The revision of the checkpoint fixture: its second statement fails until it is corrected.
pub fn topics(backend: Backend, column: &str) -> String {
    let concurrently = if backend == Backend::Postgres { "concurrently " } else { "" };
    format!(
        "create table topics (id integer primary key, name text);\n\
         create index {concurrently}ix_topics_name on topics ({column});\n"
    )
}

#[apply(both!)]
#[ignore = "writes the fixtures; .ci/compatibility record runs it"]
async fn record(backend: Backend) {
    fs::create_dir_all(path(backend, "")).unwrap();
    half_way(backend).await;
    checkpoint(backend).await;
    head(backend).await;
}

/// At 0003 with the rows of an application, the schema server killed inside 0004.
async fn half_way(backend: Backend) {
    let database = backend.empty().await;
    let schema = Build::Old.schema(&database).await;
    upgrade(schema.address, "0003").await.unwrap();
    database.execute(ROWS_AT_0003).await;
    write_commands(backend, "half_way", &schema).await;
    kill_in_next_step(backend, &database, schema).await;
    drop_trigger(backend, &database).await;
    dump(backend, &database, "half_way").await;
}

/// At 0006, stopped behind the first statement of a revision outside a transaction.
async fn checkpoint(backend: Backend) {
    let database = backend.empty().await;
    let migrations = Migrations::built_in(backend).with(
        "0007_topics",
        AUTOCOMMIT,
        &topics(backend, "title"),
        "drop table topics;\n",
    );
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_MIGRATIONS_DIR", migrations.path())];
    let schema = Build::Old.serve("schema", &env).await;
    upgrade(schema.address, "head").await.unwrap_err();
    dump(backend, &database, "checkpoint").await;
}

/// At head, with content, a log of all kinds of operations, leases and a dependent.
async fn head(backend: Backend) {
    let database = backend.empty().await;
    let schema = Build::Old.schema(&database).await;
    upgrade(schema.address, "0001").await.unwrap();
    kill_in_next_step(backend, &database, schema).await;
    drop_trigger(backend, &database).await;

    let broken = Migrations::built_in(backend)
        .with_statement("0003_index_chats_for_listing", "insert into nowhere values (1)");
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_MIGRATIONS_DIR", broken.path())];
    let mut schema = Build::Old.serve("schema", &env).await;
    upgrade(schema.address, "head").await.unwrap_err();
    assert!(schema.process.terminate().await.success());

    let callers = write_callers().await;
    let (schema_file, chat_file) = (callers[0].to_str().unwrap(), callers[1].to_str().unwrap());
    let mut schema = Build::Old.schema(&database).await;
    upgrade(schema.address, "head").await.unwrap();
    let url = schema.url();
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_URL", &url), ("CHAT_BOT_FAILURES", "1")];
    let mut chat = Build::Old.serve("chat", &env).await;
    chat.gate_is(true).await;
    let past = ["downgrade", "-1", "--force", "--allow-data-loss"];
    Build::Old.run_ok(&schema, "schema", &past).await;
    chat.gate_is(false).await;
    Build::Old.run_ok(&schema, "schema", &["upgrade"]).await;
    chat.gate_is(true).await;

    let chat_id = fill(&chat).await;
    write(
        backend,
        "kept.json",
        &Kept::of(Servers { schema: &schema, chat: &chat }, &chat_id).await,
    );
    write_commands(backend, "head", &schema).await;
    let chats = Build::Old.run_ok(&chat, "chat", &["list", "--json"]).await;
    fs::write(path(backend, "head.list.jsonl"), chats).unwrap();
    write_rights(backend, &database, schema_file, chat_file).await;

    // The schema server first: it forgets the dependent when the dependent's connection ends.
    schema.process.kill().await;
    chat.process.kill().await;
    dump(backend, &database, "head").await;
}

/// Starts an upgrade, and kills its server inside the next step.
async fn kill_in_next_step(backend: Backend, database: &TestDatabase, mut schema: Server) {
    add_endless_trigger(backend, database).await;
    let mut client = SchemaServiceClient::new(channel(schema.address));
    let mut events = client.upgrade(UpgradeRequest::default()).await.unwrap().into_inner();
    loop {
        let event = events.message().await.unwrap().unwrap().event.unwrap();
        if event.kind() == Kind::StepStarted {
            break;
        }
    }
    assert!(current(schema.address).await.running.is_some());
    schema.process.kill().await;
}

/// Rows as an application wrote them before there were messages.
const ROWS_AT_0003: &str = "
    insert into chats (id, jid, name, chat_type, metadata) values
        ('0191d5f0-0000-7000-8000-000000000001', 'old@g.us', 'Old', 'group', '{\"topic\": \"tea\"}'),
        ('0191d5f0-0000-7000-8000-000000000002', 'ann@s.whatsapp.net', null, 'private', '{}');
    insert into bots (id, type, name, description, config) values
        ('0191d5f0-0000-7000-8000-000000000003', 'echo', 'Echo', null, '{\"hears_bots\": false}');
    insert into chat_bots (id, chat_id, bot_id, priority) values
        ('0191d5f0-0000-7000-8000-000000000004', '0191d5f0-0000-7000-8000-000000000001',
         '0191d5f0-0000-7000-8000-000000000003', 3);
    insert into processed_messages (id, message_id, chat_id, bot_id, content, response) values
        ('0191d5f0-0000-7000-8000-000000000005', 'wamid.1', '0191d5f0-0000-7000-8000-000000000001',
         '0191d5f0-0000-7000-8000-000000000003', 'hello', 'hello');
    insert into scheduled_messages
        (id, chat_id, message, schedule_type, schedule_expression, timezone, enabled) values
        ('0191d5f0-0000-7000-8000-000000000006', '0191d5f0-0000-7000-8000-000000000001', 'Stand-up',
         'cron', '0 9 * * *', 'Europe/Berlin', false)";

/// The access files that the old commands write, with each caller's token beside them.
async fn write_callers() -> [PathBuf; 2] {
    let mut tokens = Vec::new();
    let files = ["schema", "chat"].map(|service| fixture(&format!("{service}-callers.toml")));
    for file in &files {
        fs::write(file, "# Callers of commit 865dd92.\n").unwrap();
    }
    for (service, file) in ["schema", "chat"].into_iter().zip(&files) {
        for (of, name, role) in CALLERS.iter().filter(|(of, ..)| *of == service) {
            let mut command = Command::new(Build::Old.binary(of));
            command.args(["token", name, "--role", role, "--append"]).arg(file).env_clear();
            if *role == "bot" {
                command.args(["--bot-type", "echo"]);
            }
            let output = command.output().await.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let token = String::from_utf8(output.stdout).unwrap();
            tokens.push(format!("{of} {name} {}", token.trim()));
        }
    }
    fs::write(fixture("tokens.txt"), tokens.join("\n") + "\n").unwrap();
    files
}

/// What each caller of the access files may call.
async fn write_rights(
    backend: Backend,
    database: &TestDatabase,
    schema_file: &str,
    chat_file: &str,
) {
    // The same on both databases.
    if backend == Backend::Postgres {
        let rights = rights::measure(
            Build::Old,
            database,
            &rights::recorded_tokens(),
            schema_file,
            chat_file,
        )
        .await;
        let json = serde_json::to_string_pretty(&rights).unwrap();
        fs::write(fixture("rights.json"), json + "\n").unwrap();
    }
}

async fn write_commands(backend: Backend, stage: &str, schema: &Server) {
    for (name, arguments) in COMMANDS {
        let arguments = [arguments, &["--json"]].concat();
        let printed = Build::Old.run(schema, "schema", &arguments).await.stdout;
        fs::write(path(backend, &format!("{stage}.{name}.jsonl")), printed).unwrap();
    }
}

fn write(backend: Backend, name: &str, value: &impl Serialize) {
    let json = serde_json::to_string_pretty(value).unwrap();
    fs::write(path(backend, name), json + "\n").unwrap();
}

fn path(backend: Backend, name: &str) -> PathBuf {
    fixture(directory(backend)).join(name)
}

/// Writes a database as SQL that a session of any tool can run.
async fn dump(backend: Backend, database: &TestDatabase, stage: &str) {
    let output = match backend {
        Backend::Postgres => {
            let flags = ["--inserts", "--no-owner", "--no-privileges", "--dbname"];
            Command::new("pg_dump").args(flags).arg(database.url()).output().await
        }
        Backend::Sqlite => {
            let file = database.url().strip_prefix("sqlite:").unwrap();
            Command::new("sqlite3").args([file, ".dump"]).output().await
        }
    };
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sql = String::from_utf8(output.stdout).unwrap();
    // Commands of psql, and settings that older servers do not have.
    let runs_everywhere = |line: &&str| {
        !line.starts_with("\\restrict")
            && !line.starts_with("\\unrestrict")
            && !line.starts_with("SET transaction_timeout")
    };
    let mut sql: String = sql.lines().filter(runs_everywhere).collect::<Vec<_>>().join("\n");
    sql.push('\n');
    fs::write(path(backend, &format!("{stage}.sql")), sql).unwrap();
}
