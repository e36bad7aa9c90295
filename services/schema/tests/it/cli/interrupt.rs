//! Ctrl-c: the caller goes, the operation stays.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use testing::{Backend, eventually};

use super::{CliFixture, Ran};

/// On PostgreSQL, where another's lock stops a step and nothing else; the client is the same.
#[tokio::test]
async fn sigint_leaves_the_operation_running() {
    let cli = CliFixture::at(Backend::Postgres, "0001").await;
    let mut reader = cli.database.session().await;
    reader.execute("begin; lock table notes in access share mode").await;

    let mut command = cli.command("upgrade --lock-timeout 50ms --wait 10m");
    let caller = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the upgrade runs", async || {
        let state = &cli.json("current").await[0];
        (state["status"] == "STATUS_MIGRATING").then_some(())
    })
    .await;
    let pid = Pid::from_raw(i32::try_from(caller.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ran = Ran::from(caller.wait_with_output().await.unwrap());
    assert_eq!(ran.status, 130);
    assert_eq!(ran.stderr, "the operation continues on the server; follow it: schema watch\n");

    let waits = cli.run("upgrade 0002 --wait 0s").await;
    assert_eq!(waits.status, 1);
    assert!(waits.stderr.contains("schema watch"), "{}", waits.stderr);

    reader.execute("commit").await;
    let head = cli.print("upgrade --lock-timeout 50ms --wait 10m").await;
    assert_eq!(head.lines().last(), Some("0003 (head)"));
    assert_eq!(cli.print("log").await.lines().count(), 2, "it was joined, or done");
}
