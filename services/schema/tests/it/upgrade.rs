//! Upgrade: its steps, its targets, and what happens when one fails.

use api::schema::v1::{ListOperationsRequest, Status, UpgradeRequest, operation::Outcome};
use testing::{Backend, apply, both, eventually, info, reason};
use tonic::Code;

use crate::server::{Server, event_lines, revision, tables};

#[apply(both!)]
async fn an_upgrade_streams_its_steps_and_ends_at_its_target(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    let events = server.upgrade("0002").await.unwrap();
    assert_eq!(
        event_lines(&events),
        [
            "STARTED",
            "STEP_STARTED 0001",
            "STEP_FINISHED 0001",
            "STEP_STARTED 0002",
            "STEP_FINISHED 0002",
            "FINISHED"
        ]
    );
    assert_eq!(events[0].steps_total, 2);
    assert_eq!(events[4].fraction, 1.0);
    let state = events[5].state.clone().unwrap();
    assert_eq!((state.revision.as_str(), state.status(), state.epoch), ("0002", Status::Behind, 2));
    assert_eq!(event_lines(&server.upgrade("+1").await.unwrap()).last().unwrap(), "FINISHED");
    assert_eq!(event_lines(&server.upgrade("head").await.unwrap()), ["FINISHED"]);
    database.execute("select n from a; select n from b; select n from c").await;
}

#[apply(both!)]
async fn invalid_targets_are_refused(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    server.upgrade("0002").await.unwrap();
    for (target, code, why) in [
        ("0009", Code::NotFound, "REVISION_UNKNOWN"),
        ("00", Code::InvalidArgument, "TARGET_AMBIGUOUS"),
        ("HEAD", Code::InvalidArgument, "TARGET_MALFORMED"),
        ("+0", Code::InvalidArgument, "TARGET_MALFORMED"),
        ("+7", Code::NotFound, "TARGET_PAST_THE_END"),
        ("0001", Code::FailedPrecondition, "TARGET_BEHIND"),
        ("-1", Code::FailedPrecondition, "TARGET_BEHIND"),
        ("base", Code::FailedPrecondition, "TARGET_BEHIND"),
    ] {
        let refusal = server.upgrade(target).await.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (code, why), "{target}: {refusal}");
    }
    let behind = server.upgrade("0001").await.unwrap_err();
    assert!(behind.message().contains("Downgrade"), "{}", behind.message());
    assert_eq!(server.current().await.revision, "0002");
}

#[apply(both!)]
async fn a_step_that_fails_is_rolled_back(backend: Backend) {
    let database = backend.empty().await;
    let broken = [
        tables()[0].clone(),
        revision(
            "0002",
            "create table b (n integer);\n\ninsert into\n  nowhere values (1);\n",
            "drop table b;",
        ),
    ];
    let server = Server::holding(&database, &broken).await;
    let refusal = server.upgrade("head").await.unwrap_err();
    assert_eq!(
        (refusal.code(), reason(&refusal).as_str()),
        (Code::FailedPrecondition, "STEP_FAILED")
    );
    assert_eq!(info(&refusal, "revision"), "0002");
    assert_eq!(info(&refusal, "statement"), "2");
    // PostgreSQL says where in the statement, SQLite only which statement.
    let line = if backend == Backend::Postgres { "4" } else { "3" };
    assert_eq!(info(&refusal, "line"), line);
    assert!(refusal.message().contains("nowhere"), "{}", refusal.message());

    let state = server.current().await;
    assert_eq!((state.revision.as_str(), state.status()), ("0001", Status::Behind));
    assert!(state.message.contains("nowhere"), "{}", state.message);
    assert_eq!(state.last_failure.unwrap().outcome(), Outcome::Failed);
    // Table b is not there: it can be made.
    database.execute("create table b (n integer); drop table b").await;

    let mended = Server::holding(&database, &tables()).await;
    mended.upgrade("head").await.unwrap();
    let state = mended.current().await;
    assert!(state.at_head && state.last_failure.is_none());
    let log = mended
        .client()
        .list_operations(ListOperationsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let outcomes: Vec<Outcome> =
        log.operations.iter().map(|operation| operation.outcome()).collect();
    assert_eq!(outcomes, [Outcome::Succeeded, Outcome::Failed]);
    assert_eq!(
        (log.operations[1].from_revision.as_str(), log.operations[1].to_revision.as_str()),
        ("", "0001")
    );
    assert!(log.operations.iter().all(|o| o.actor == "anonymous" && o.finished_at.is_some()));
}

#[apply(both!)]
async fn an_operation_outlives_its_caller(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    let mut events = server.client().upgrade(UpgradeRequest::default()).await.unwrap().into_inner();
    events.message().await.unwrap().unwrap();
    drop(events);
    eventually("the upgrade ends", async || server.current().await.at_head.then_some(())).await;
}

#[apply(both!)]
async fn the_expected_current_revision_is_checked(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    let believing = |expected: &str| UpgradeRequest {
        target: "+1".into(),
        expected_current: Some(expected.into()),
        ..UpgradeRequest::default()
    };
    server.upgrade_with(believing("")).await.unwrap();
    let refusal = server.upgrade_with(believing("")).await.unwrap_err();
    assert_eq!((refusal.code(), reason(&refusal).as_str()), (Code::Aborted, "CURRENT_IS_ANOTHER"));
    assert_eq!(info(&refusal, "current"), "0001");
    server.upgrade_with(believing("0001")).await.unwrap();
}

#[apply(both!)]
async fn an_upgrade_on_start_precedes_the_first_response(backend: Backend) {
    let database = backend.empty().await;
    let config = |revisions| schema::Config {
        step_grace: schema::STEP_GRACE,
        reflection: Default::default(),
        database: database.url().parse().unwrap(),
        upgrade_on_start: true,
        revisions: Some(revisions),
    };
    let server = Server::of(config(tables())).await;
    assert!(server.current().await.at_head);
    server.stop().await;

    let mut broken = tables();
    broken.push(revision("0004", "insert into nowhere values (1);", "drop table d;"));
    let server = Server::of(config(broken)).await;
    let state = server.current().await;
    assert_eq!((state.revision.as_str(), state.status()), ("0003", Status::Behind));
    assert!(state.message.contains("nowhere"), "{}", state.message);
    server.stop().await;

    // One that could not even begin says so too.
    let server = Server::of(config(tables()[..1].to_vec())).await;
    let state = server.current().await;
    assert_eq!(state.status(), Status::Ahead);
    assert!(state.message.contains("upgrade on start"), "{}", state.message);
}

#[apply(both!)]
async fn an_operation_of_a_killed_server_is_interrupted(backend: Backend) {
    let database = backend.empty().await;
    Server::holding(&database, &tables()).await.upgrade("0001").await.unwrap();
    // As a killed server leaves it: the lock is free, and no end is recorded.
    let died = "update schemagate_operations set outcome = 'running', finished_at = null";
    database.execute(died).await;
    let server = Server::holding(&database, &tables()).await;
    let state = server.current().await;
    assert_eq!((state.status(), state.running), (Status::Behind, None));
    assert_eq!(state.last_failure.unwrap().outcome(), Outcome::Interrupted);
    let written = "select outcome from schemagate_operations";
    eventually("the next server writes it down", async || {
        (database.column(written).await == [Some("interrupted".into())]).then_some(())
    })
    .await;
    server.upgrade("head").await.unwrap();
    assert!(server.current().await.last_failure.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_in_a_nested_comment_does_not_run_on_postgres() {
    let database = Backend::Postgres.empty().await;
    let up = "/* off /* ticket */ insert into a values (1); -- all */\ninsert into a values (2);";
    let revisions = [tables()[0].clone(), revision("0002", up, "select 1;")];
    let server = Server::holding(&database, &revisions).await;
    server.upgrade("head").await.unwrap();
    assert_eq!(database.column("select n from a").await, [Some("2".into())]);
}
