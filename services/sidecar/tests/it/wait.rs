//! `gate wait` and `schema wait`.

use testing::{AccessFile, Backend, Process, apply, both, eventually};

use crate::world::{GATE, World, binary};

fn wait(program: &str, url: &str, flags: &[&str]) -> Process {
    Process::start(program, &[&["wait"], flags].concat(), &[("SCHEMA_URL", url)])
}

async fn until_printed(process: &Process, text: &str) {
    eventually(text, async || {
        process.output().iter().any(|line| line.contains(text)).then_some(())
    })
    .await;
}

#[apply(both!)]
async fn it_waits_for_head_and_prints_why(backend: Backend) {
    let world = World::empty(backend).await;
    for program in [GATE, &binary("schema")] {
        testing::downgrade(world.address, "base").await.ok();
        let mut waiting = wait(program, &world.url(), &[]);
        until_printed(&waiting, "waiting: schema is at base but head is 00").await;
        world.upgrade("0001").await;
        until_printed(&waiting, "waiting: schema is at 0001 but head is 00").await;
        world.upgrade("").await;
        assert!(waiting.ended().await.success());
        until_printed(&waiting, " (head)").await;
    }
}

#[apply(both!)]
async fn it_waits_for_a_revision(backend: Backend) {
    let world = World::empty(backend).await;
    let mut waiting = wait(GATE, &world.url(), &["--revision", "0001"]);
    until_printed(&waiting, "but revision 0001 is awaited (EMPTY)").await;
    world.upgrade("0001").await;
    assert!(waiting.ended().await.success());
}

#[apply(both!)]
async fn it_outlives_a_restart_of_the_schema_service(backend: Backend) {
    let mut world = World::empty(backend).await;
    let mut waiting = wait(GATE, &world.url(), &[]);
    until_printed(&waiting, "schema is at base").await;
    assert!(world.dependents().await.is_empty(), "it is an observer");
    world.schema.kill().await;
    until_printed(&waiting, "does not answer").await;
    world.schema.restart();
    world.schema.address("schema").await;
    world.upgrade("").await;
    assert!(waiting.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_exits_with_3_when_the_time_is_over() {
    let mut waiting = wait(GATE, "http://127.0.0.1:1", &["--timeout", "300ms"]);
    assert_eq!(waiting.ended().await.code(), Some(3));
    until_printed(&waiting, "timed out after 300ms: the schema service at http://127.0.0.1:1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_wait_for_a_token_to_become_valid() {
    let database = Backend::Sqlite.empty().await;
    let callers = AccessFile::of(&[("deployer", "operator")]);
    let file = callers.path().display().to_string();
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_ACCESS_FILE", &file)];
    let mut schema = Process::start(binary("schema"), &["serve"], &env);
    let url = format!("http://{}", schema.address("schema").await);
    let mut waiting = wait(GATE, &url, &[]);
    assert_eq!(waiting.ended().await.code(), Some(1));
    until_printed(&waiting, "--schema-token-file FILE, SCHEMA_TOKEN_FILE").await;
}
