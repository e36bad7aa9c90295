//! The command line: its output and exit status.

mod catalog;
mod certs;
mod force;
mod interrupt;
mod new;
mod plan;
mod terminal;

use std::{
    fs,
    process::{Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use testing::{Backend, Process, TestDatabase, apply, both, eventually};
use tokio::process::Command;

const SCHEMA: &str = env!("CARGO_BIN_EXE_schema");

/// What the services here hold, so that a new built-in migration changes no expectation.
const MIGRATIONS: [[&str; 3]; 3] = [
    ["0001_make_notes", "create table notes (id integer);", "drop table notes;"],
    ["0002_add_body", "alter table notes add body text;", "alter table notes drop body;"],
    ["0003_index_notes", "create index ix_notes on notes (id);", "drop index ix_notes;"],
];

/// A schema service, and the command line that calls it.
struct CliFixture {
    url: String,
    serving: Process,
    database: TestDatabase,
    #[expect(dead_code, reason = "removes itself when dropped")]
    migrations: Option<TempDir>,
}

/// The result of a command.
#[derive(Debug, Eq, PartialEq)]
struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

impl CliFixture {
    /// On an empty database.
    async fn of(backend: Backend) -> Self {
        let database = backend.empty().await;
        let migrations = tempfile::tempdir().unwrap();
        for [name, up, down] in MIGRATIONS {
            let folder = migrations.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("up.sql"), up).unwrap();
            fs::write(folder.join("down.sql"), down).unwrap();
        }
        Self::serving(database, Some(migrations)).await
    }

    /// On a database, with the built-in revisions unless others are given.
    async fn serving(database: TestDatabase, migrations: Option<TempDir>) -> Self {
        let directory = migrations.as_ref().map(|directory| directory.path().to_str().unwrap());
        let mut env = vec![("DATABASE_URL", database.url())];
        env.extend(directory.map(|directory| ("SCHEMA_MIGRATIONS_DIR", directory)));
        let mut serving = Process::start(SCHEMA, &["serve"], &env);
        let url = format!("http://{}", serving.address("schema").await);
        Self { url, serving, database, migrations }
    }

    /// On a database at a revision.
    async fn at(backend: Backend, revision: &str) -> Self {
        let cli = Self::of(backend).await;
        cli.print(&format!("upgrade {revision}")).await;
        cli
    }

    fn command(&self, line: &str) -> Command {
        command(&self.url, line)
    }

    /// Runs `schema` with the words of a line.
    async fn run(&self, line: &str) -> Ran {
        Ran::from(self.command(line).output().await.unwrap())
    }

    /// The standard output of a command that succeeds.
    async fn print(&self, line: &str) -> String {
        let ran = self.run(line).await;
        assert_eq!(ran.status, 0, "{line}: {ran:?}");
        ran.stdout
    }

    /// The JSON objects that a command prints.
    async fn json(&self, line: &str) -> Vec<Value> {
        json(&self.print(&format!("{line} --json")).await)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            status: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

fn command(url: &str, line: &str) -> Command {
    let mut command = Command::new(SCHEMA);
    command.args(line.split_whitespace()).env_clear().env("SCHEMA_URL", url).stdin(Stdio::null());
    command
}

fn json(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lines without the duration of a step.
fn timeless(printed: &str) -> Vec<String> {
    printed.lines().map(|line| line.split(" (").next().unwrap_or(line).to_owned()).collect()
}

#[apply(both!)]
async fn output_matches_alembic(backend: Backend) {
    let cli = CliFixture::of(backend).await;
    assert_eq!(cli.print("current").await, "");
    assert_eq!(
        timeless(&cli.print("upgrade 0002").await),
        ["applied 0001, make notes", "applied 0002, add body", "0002"]
    );
    assert_eq!(cli.print("current").await, "0002\n");
    assert_eq!(cli.print("upgrade").await.lines().last(), Some("0003 (head)"));
    assert_eq!(cli.print("current").await, "0003 (head)\n");
    assert_eq!(cli.print("upgrade").await, "0003 (head)\n");
    assert_eq!(timeless(&cli.print("downgrade -1").await), ["reverted 0003, index notes", "0002"]);
    assert_eq!(
        cli.print("history").await,
        "0002 -> 0003 (head), index notes\n\
         0001 -> 0002 (current), add body\n\
         <base> -> 0001, make notes\n"
    );
}

#[apply(both!)]
async fn check_sets_the_exit_status_and_explains_on_standard_error(backend: Backend) {
    let cli = CliFixture::at(backend, "0001").await;
    let behind = cli.run("current --check").await;
    assert_eq!((behind.status, behind.stdout.as_str()), (3, "0001\n"));
    assert_eq!(
        behind.stderr,
        "schema is at 0001 with pending revisions: 0002, 0003; run \"schema upgrade\"\n  schema upgrade\n"
    );
    assert_eq!(cli.run("current --check --json").await.stderr, "");
    cli.print("upgrade").await;
    let head = cli.run("current --check").await;
    assert_eq!(head, Ran { status: 0, stdout: "0003 (head)\n".into(), stderr: String::new() });
}

#[apply(both!)]
async fn json_output_is_one_object_per_line(backend: Backend) {
    let cli = CliFixture::at(backend, "0001").await;
    let state = &cli.json("current").await[0];
    assert_eq!(state["status"], "STATUS_BEHIND");
    assert_eq!(state["pending"], serde_json::json!(["0002", "0003"]));
    assert_eq!(state["atHead"], false);

    let events = cli.json("upgrade 0002").await;
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["KIND_STARTED", "KIND_STEP_STARTED", "KIND_STEP_FINISHED", "KIND_FINISHED"]);
    assert_eq!(events[3]["state"]["revision"], "0002");

    let newest = &cli.json("history").await[0];
    assert_eq!((&newest["revision"], &newest["applied"]), (&"0003".into(), &false.into()));
    let operations = cli.json("log").await;
    assert_eq!(operations.len(), 2);
    assert_eq!(operations[0]["kind"], "KIND_UPGRADE");
    assert_eq!(operations[0]["outcome"], "OUTCOME_SUCCEEDED");
}

#[apply(both!)]
async fn the_log_is_newest_first_and_limited(backend: Backend) {
    let cli = CliFixture::of(backend).await;
    for line in ["upgrade 0001", "upgrade", "downgrade base"] {
        cli.print(line).await;
    }
    let log = cli.print("log").await;
    let seen: Vec<&str> = log.lines().map(|line| &line[22..line.find(" in ").unwrap()]).collect();
    assert_eq!(
        seen,
        [
            "downgrade 0003 -> base  succeeded",
            "upgrade 0001 -> 0003  succeeded",
            "upgrade base -> 0001  succeeded"
        ]
    );
    assert_eq!(cli.print("log -n 2").await.lines().count(), 2);
    assert_eq!(cli.print("log -n 0").await, log);
}

#[apply(both!)]
async fn a_refusal_comes_with_advice(backend: Backend) {
    let cli = CliFixture::at(backend, "0002").await;
    for (line, words, advice) in [
        ("upgrade 0001", "'0001' is behind the current revision '0002'", "schema downgrade 0001"),
        ("downgrade 0003", "'0003' is ahead of the current revision '0002'", "schema upgrade 0003"),
        ("upgrade 0009", "unknown revision '0009'", "schema history"),
        ("upgrade 00", "0001, 0002, 0003", "schema history"),
        ("upgrade --expected-current base", "current revision is 0002, not base", "schema current"),
    ] {
        let ran = cli.run(line).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{line}");
        let (said, then) = ran.stderr.split_once('\n').unwrap();
        assert!(said.contains(words) && then.contains(advice), "{line}: {}", ran.stderr);
    }
    let ran = cli.run("upgrade 0009 --json").await;
    let error = &json(&ran.stderr)[0]["error"];
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    assert_eq!(error["code"], "NOT_FOUND");
    assert_eq!(error["reason"], "REVISION_UNKNOWN");
    assert_eq!(error["metadata"]["target"], "0009");
}

#[apply(both!)]
async fn watch_prints_a_line_for_each_change(backend: Backend) {
    let mut cli = CliFixture::at(backend, "0001").await;
    let mut watching = Process::start(SCHEMA, &["watch"], &[("SCHEMA_URL", &cli.url)]);
    let seen = async |words: &str| {
        eventually(words, async || {
            watching.output().iter().any(|line| line.ends_with(words)).then_some(())
        })
        .await;
    };
    seen("Z 0001: schema is at 0001 with pending revisions: 0002, 0003; run \"schema upgrade\"")
        .await;
    cli.print("upgrade").await;
    seen("Z 0003 (head)").await;
    cli.serving.terminate().await;
    assert!(watching.ended().await.success());
    assert!(watching.output().iter().any(|line| line.contains("is shutting down")));
}

#[apply(both!)]
async fn an_altered_revision_is_repaired_by_name(backend: Backend) {
    let cli = CliFixture::at(backend, "0002").await;
    let alter = "update schemagate_steps set checksum = 'another' where revision = '0002'";
    cli.database.execute(alter).await;

    let refused = cli.run("upgrade").await;
    assert!(refused.stderr.contains("schema repair 0002"), "{}", refused.stderr);
    let current = cli.run("current").await;
    assert_eq!(current.stdout, "0002 (diverged)\n");
    assert!(current.stderr.ends_with("\n  schema repair 0002\n"), "{}", current.stderr);
    assert!(cli.print("history").await.contains("0002 (current) (altered)"));
    assert_eq!(cli.print("repair 0002").await, "0002\n");
    assert_eq!(cli.print("upgrade").await.lines().last(), Some("0003 (head)"));
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_named() {
    let ran = Ran::from(command("http://127.0.0.1:1", "current").output().await.unwrap());
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    for words in ["http://127.0.0.1:1/ cannot be reached", "schema serve", "--schema-url"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let ran = Ran::from(command("http://127.0.0.1:1", "upgrade --json").output().await.unwrap());
    assert_eq!(json(&ran.stderr)[0]["error"]["reason"], "SCHEMA_UNREACHABLE");
}

#[tokio::test]
async fn an_invalid_command_line_exits_with_2() {
    for (line, words) in [
        ("downgrade", "<TARGET>"),
        ("plan --downgrade", "<TARGET>"),
        ("plan --sql --json", "cannot be used with"),
        ("upgrade --wait soon", "--wait"),
        ("current --schema-url localhost:50051", "as in http://host:50051"),
        ("--log ,=, current", "--log"),
    ] {
        let ran = Ran::from(command("http://127.0.0.1:1", line).output().await.unwrap());
        assert_eq!(ran.status, 2, "{line}: {ran:?}");
        assert!(ran.stderr.contains(words), "{line}: {}", ran.stderr);
    }
    let help = Ran::from(command("http://127.0.0.1:1", "--help").output().await.unwrap());
    assert!(help.stdout.contains("3  current --check: the schema is not at head"));
}

#[tokio::test]
async fn health_sets_the_exit_status() {
    let cli = CliFixture::of(Backend::Sqlite).await;
    let listen = cli.url.trim_start_matches("http://");
    cli.print(&format!("health --listen {listen}")).await;
    let away = cli.run("health --listen 127.0.0.1:1").await;
    assert_eq!(away.status, 1);
    assert!(away.stderr.contains("127.0.0.1:1 cannot be reached"), "{}", away.stderr);
}
