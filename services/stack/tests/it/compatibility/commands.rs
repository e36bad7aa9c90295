//! Commands of each build against servers of the other.

use std::{fs, path::Path};

use serde_json::Value;
use testing::{Backend, Process, TestDatabase, apply, both, eventually};
use tokio::process::Command;

use super::{
    Build,
    rights::{self, CALLERS},
};

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn schema_commands_work_with_the_other_server(backend: Backend) {
    for client in Build::BOTH {
        let database = backend.empty().await;
        let schema = client.other().schema(&database).await;
        let run = async |arguments: &[&str]| client.run_json(&schema, "schema", arguments).await;
        let check = client.run(&schema, "schema", &["current", "--check"]).await;
        assert_eq!(check.status.code(), Some(3));
        let plan = run(&["plan"]).await;
        assert_eq!(plan[0]["steps"].as_array().unwrap().len(), 6);
        let events = run(&["upgrade"]).await;
        assert_eq!(events.last().unwrap()["kind"], "KIND_FINISHED");
        let current = client.run_ok(&schema, "schema", &["current"]).await;
        assert_eq!(current, "0006 (head)\n");
        run(&["current", "--check"]).await;
        let refused = client.run(&schema, "schema", &["upgrade", "0001"]).await;
        assert_eq!(refused.status.code(), Some(1));
        run(&["downgrade", "-1", "--allow-data-loss"]).await;
        run(&["upgrade"]).await;
        run(&["stamp", "0005", "--force"]).await;
        run(&["stamp", "0006"]).await;
        assert_eq!(run(&["history"]).await.len(), 6);
        assert_eq!(run(&["log"]).await.len(), 5);
        assert_eq!(run(&["verify"]).await[0]["missing"], serde_json::json!([]));
        let plan = run(&["plan", "--downgrade", "base"]).await;
        assert_eq!(plan[0]["steps"].as_array().unwrap().len(), 6);

        let url = schema.url();
        let mut watch =
            Process::start(client.binary("schema"), &["watch"], &[("SCHEMA_URL", &url)]);
        eventually("watch prints the state", async || {
            watch.output().iter().any(|line| line.contains("0006")).then_some(())
        })
        .await;
        watch.kill().await;
        let health = Command::new(client.binary("schema"))
            .arg("health")
            .env_clear()
            .env("SCHEMA_LISTEN", schema.address.to_string())
            .status()
            .await;
        assert!(health.unwrap().success());
    }
}

#[apply(both!)]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn chat_commands_work_with_the_other_server(backend: Backend) {
    for client in Build::BOTH {
        let database = backend.at_head().await;
        let schema = client.schema(&database).await;
        let chat = client.other().chat(&database, &schema).await;
        chat.gate_is(true).await;
        let run = async |arguments: &[&str]| client.run_json(&chat, "chat", arguments).await;
        client.run_ok(&chat, "chat", &["ready"]).await;
        run(&["create", "friends@g.us", "--name", "Friends", "--type", "group"]).await;
        run(&["send", "friends@g.us", "Who brings the cake?"]).await;
        let listed = client.run_ok(&chat, "chat", &["list", "--json"]).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), listed.replace("friends@g.us", "family@g.us")).unwrap();
        run(&["import", file.path().to_str().unwrap()]).await;
        assert_eq!(run(&["list"]).await.len(), 2);

        let url = chat.url();
        let arguments = ["tail", "friends@g.us", "--json"];
        let mut tail = Process::start(client.binary("chat"), &arguments, &[("CHAT_URL", &url)]);
        let has_line = |tail: &Process, body: &str| {
            tail.output().iter().any(|line| line.contains(body)).then_some(())
        };
        eventually("tail prints the last message", async || has_line(&tail, "cake?")).await;
        run(&["send", "friends@g.us", "I do."]).await;
        eventually("tail prints the next message", async || has_line(&tail, "I do.")).await;
        let lines = tail.output();
        let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        assert_eq!(last["body"], "I do.");
        tail.kill().await;
    }
}

/// Adds all callers to access files with the `token` commands of a build; writes their tokens.
async fn add_callers(build: Build, schema_file: &Path, chat_file: &Path) -> rights::Tokens {
    let mut tokens = rights::Tokens::new();
    for (service, name, role) in CALLERS {
        let file = if service == "schema" { schema_file } else { chat_file };
        let mut command = Command::new(build.binary(service));
        command.args(["token", name, "--role", role, "--append"]).arg(file).env_clear();
        if role == "bot" {
            command.args(["--bot-type", "echo"]);
        }
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        tokens.insert((service.to_owned(), name.to_owned()), token);
    }
    tokens
}

/// The rights that access files and tokens of one build give at servers of another.
async fn rights_of(made_by: Build, served_by: Build, database: &TestDatabase) -> rights::Rights {
    let directory = tempfile::tempdir().unwrap();
    let (schema, chat) = (directory.path().join("schema.toml"), directory.path().join("chat.toml"));
    let tokens = add_callers(made_by, &schema, &chat).await;
    let (schema, chat) = (schema.to_str().unwrap(), chat.to_str().unwrap());
    rights::measure(served_by, database, &tokens, schema, chat).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn tokens_and_access_files_give_the_same_rights_at_either() {
    let database = Backend::Sqlite.at_head().await;
    let expected = rights_of(Build::Old, Build::Old, &database).await;
    for (made_by, served_by) in [
        (Build::Old, Build::Current),
        (Build::Current, Build::Old),
        (Build::Current, Build::Current),
    ] {
        let rights = rights_of(made_by, served_by, &database).await;
        assert_eq!(rights, expected, "made by {made_by:?}, served by {served_by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the old binaries: .ci/compatibility runs it"]
async fn every_flag_and_variable_of_the_old_commands_is_still_there() {
    let schema: &[&str] = &[
        "serve",
        "health",
        "current",
        "upgrade",
        "downgrade",
        "history",
        "plan",
        "verify",
        "stamp",
        "repair",
        "log",
        "watch",
        "token",
        "new",
        "describe",
        "certs",
    ];
    let chat: &[&str] =
        &["serve", "health", "token", "ready", "list", "create", "send", "tail", "import"];
    for (service, commands) in [("schema", schema), ("chat", chat), ("stack", &[])] {
        for command in commands.iter().map(Some).chain([None]) {
            let help = async |build: Build| {
                let mut run = Command::new(build.binary(service));
                let output = run.args(command).arg("--help").env_clear().output().await.unwrap();
                String::from_utf8(output.stdout).unwrap()
            };
            let (old, new) = (help(Build::Old).await, help(Build::Current).await);
            for name in interface(&old) {
                assert!(interface(&new).contains(&name), "{service} {command:?}: {name} is gone");
            }
        }
    }
}

/// Whether a help text documents an environment variable.
pub fn documents(help: &str, variable: &str) -> bool {
    ["=", "]"].iter().any(|end| help.contains(&format!("[env: {variable}{end}")))
}

/// The flags and environment variables in a help text.
fn interface(help: &str) -> Vec<&str> {
    let tokens = help.split(|c: char| c.is_whitespace() || "[],=()\"'`".contains(c));
    let is_name = |token: &&str| {
        let is_variable = token.len() > 2
            && token.contains(|c: char| c.is_ascii_uppercase())
            && token.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        token.starts_with("--") || (is_variable && documents(help, token))
    };
    tokens.filter(is_name).collect()
}
