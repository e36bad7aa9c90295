//! Data loss: a table with rows or a column with values is dropped only with consent.

use api::schema::v1::{
    DowngradeRequest, Event, PlanRequest, UpgradeRequest, plan_request::Direction,
};
use testing::{Backend, TestDatabase, apply, both, info, reason};
use tonic::{Code, Status};

use crate::server::{Server, revision, tables};

/// Two chats, one of them with a last message.
const CHATS: &str = "insert into chats (id, jid, last_message_at) values \
    ('1', 'a', '2026-01-01 00:00:00'), ('2', 'b', null)";

/// A Downgrade as it is asked for by default: without a word about data.
async fn downgrade(server: &Server, request: DowngradeRequest) -> Result<Vec<Event>, Status> {
    let mut stream = server.client().downgrade(request).await?.into_inner();
    let mut events = Vec::new();
    while let Some(response) = stream.message().await? {
        events.extend(response.event);
    }
    Ok(events)
}

fn to(target: &str) -> DowngradeRequest {
    DowngradeRequest { target: target.into(), ..DowngradeRequest::default() }
}

#[apply(both!)]
async fn a_downgrade_that_would_lose_values_names_them(backend: Backend) {
    let database = backend.at("0002").await;
    database.execute(CHATS).await;
    let server = Server::start(&database).await;
    let refusal = downgrade(&server, to("-1")).await.unwrap_err();
    assert_eq!(
        (refusal.code(), reason(&refusal).as_str()),
        (Code::FailedPrecondition, "DATA_LOSS")
    );
    assert_eq!(
        ["revision", "table", "column", "rows"].map(|key| info(&refusal, key)),
        ["0002", "chats", "last_message_at", "1"]
    );
    let words = "chats.last_message_at (1 row with a value) by 0002";
    assert!(refusal.message().contains(words), "{}", refusal.message());
    assert_eq!(server.current().await.revision, "0002");
    assert_eq!(
        database.column("select count(last_message_at) from chats").await,
        [Some("1".into())]
    );

    let allowed = DowngradeRequest { allow_data_loss: true, ..to("-1") };
    downgrade(&server, allowed).await.unwrap();
    assert_eq!(server.current().await.revision, "0001");
}

#[apply(both!)]
async fn empty_tables_and_columns_are_no_loss(backend: Backend) {
    let database = backend.at("0002").await;
    database.execute("insert into chats (id, jid) values ('1', 'a')").await;
    let server = Server::start(&database).await;
    downgrade(&server, to("-1")).await.unwrap();
    let refusal = downgrade(&server, to("base")).await.unwrap_err();
    assert_eq!(
        (info(&refusal, "table"), info(&refusal, "column")),
        ("chats".into(), String::new())
    );
    database.execute("delete from chats").await;
    downgrade(&server, to("base")).await.unwrap();
    assert_eq!(server.current().await.revision, "");
}

#[apply(both!)]
async fn an_upgrade_needs_consent_to_lose_data_too(backend: Backend) {
    let database = backend.empty().await;
    let revisions =
        [tables()[0].clone(), revision("0002", "drop table a;", "create table a (n integer);")];
    let server = Server::holding(&database, &revisions).await;
    server.upgrade("0001").await.unwrap();
    database.execute("insert into a values (1), (2)").await;
    let refusal = server.upgrade("head").await.unwrap_err();
    assert_eq!(
        (refusal.code(), reason(&refusal).as_str()),
        (Code::FailedPrecondition, "DATA_LOSS")
    );
    assert_eq!((info(&refusal, "table"), info(&refusal, "rows")), ("a".into(), "2".into()));
    assert_eq!(server.current().await.last_failure, None, "it never began");
    let request = UpgradeRequest { allow_data_loss: true, ..UpgradeRequest::default() };
    server.upgrade_with(request).await.unwrap();
    assert!(server.current().await.at_head);
}

#[apply(both!)]
async fn only_the_reviewed_plan_runs(backend: Backend) {
    let database = backend.at("0002").await;
    let server = Server::start(&database).await;
    let digest = async || {
        let direction = Some(Direction::DowngradeTo("-1".into()));
        server.client().plan(PlanRequest { direction }).await.unwrap().into_inner().digest
    };
    let reviewed =
        DowngradeRequest { plan_digest: digest().await, allow_data_loss: true, ..to("-1") };
    // Since then somebody wrote a value that would go.
    database.execute(CHATS).await;
    for request in [reviewed.clone(), DowngradeRequest { plan_digest: "x".into(), ..to("-1") }] {
        let refusal = downgrade(&server, request).await.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (Code::Aborted, "PLAN_CHANGED"));
    }
    let plan_digest = digest().await;
    // Reviewed is not allowed.
    let request = DowngradeRequest { plan_digest: plan_digest.clone(), ..to("-1") };
    assert_eq!(reason(&downgrade(&server, request.clone()).await.unwrap_err()), "DATA_LOSS");
    let request = DowngradeRequest { allow_data_loss: true, ..request };
    downgrade(&server, request.clone()).await.unwrap();
    // It ran: there is nothing of it left to run.
    let request = DowngradeRequest { target: "0001".into(), ..request };
    assert_eq!(reason(&downgrade(&server, request).await.unwrap_err()), "PLAN_CHANGED");

    let request = PlanRequest::default();
    let plan_digest = server.client().plan(request).await.unwrap().into_inner().digest;
    let request = UpgradeRequest { plan_digest, ..UpgradeRequest::default() };
    server.upgrade_with(request).await.unwrap();
    assert!(server.current().await.at_head);
}

/// What an Upgrade by one revision is refused for, as `table.column rows`; nothing where it runs.
async fn lost(database: &TestDatabase, before: &str, up: &'static str) -> Vec<String> {
    let revisions = [tables()[0].clone(), revision("0002", up, "select 1;")];
    let server = Server::holding(database, &revisions).await;
    server.upgrade("0001").await.unwrap();
    database.execute(before).await;
    match server.upgrade("head").await {
        Ok(_) => Vec::new(),
        Err(refusal) => {
            assert_eq!(reason(&refusal), "DATA_LOSS", "{refusal:?}");
            let (_, words) = refusal.message().split_once("data would be lost: ").unwrap();
            let (words, _) = words.split_once("; run").unwrap();
            words.split(", ").map(|loss| loss.trim_end_matches(" by 0002").into()).collect()
        }
    }
}

#[apply(both!)]
async fn every_losing_statement_is_found(backend: Backend) {
    let rows = "insert into a values (1), (2), (null)";
    for (up, losses) in [
        ("delete from a;", vec!["a (3 rows)"]),
        ("delete from a where n > 1;", vec!["a (1 row)"]),
        ("delete from a where n > 2;", vec![]),
        ("alter table a rename to b; drop table b;", vec!["a (3 rows)"]),
        (
            "alter table a add column m integer; alter table a rename column n to k; \
             alter table a drop column k;",
            vec!["a.n (2 rows with a value)"],
        ),
        ("create table b (n integer); insert into b select n from a; drop table a;", vec![]),
        (
            "create table b (n integer); insert into b select n from a where n is not null; \
             drop table a; alter table b rename to a;",
            vec!["a (1 row)"],
        ),
        (
            "create table b (m integer); insert into b select 0 from a; drop table a;",
            vec!["a.n (2 rows with a value)"],
        ),
        ("drop table a; create table a (n integer);", vec!["a (3 rows)"]),
        ("alter table a add column m integer; alter table a drop column m;", vec![]),
    ] {
        let database = backend.empty().await;
        assert_eq!(lost(&database, rows, up).await, losses, "{up}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_on_postgresql_loses_what_depends_on_it() {
    for (before, up, losses) in [
        (
            "create type mood as enum ('ok'); create table m (id int, mood mood, moods mood[]); \
             insert into m values (1, 'ok', null)",
            "drop type mood cascade;",
            vec!["m.mood (1 row with a value)"],
        ),
        (
            "create schema s; create table s.t (n int); insert into s.t values (1); \
             create table s.empty (n int)",
            "drop schema s cascade;",
            vec!["s.t (1 row)"],
        ),
        (
            "create table p (id int primary key); create table c (p_id int references p); \
             insert into p values (1); insert into c values (1), (1)",
            "truncate p cascade;",
            vec!["c (2 rows)", "p (1 row)"],
        ),
        (
            "create table p (id int) partition by range (id); \
             create table p1 partition of p for values from (0) to (9); insert into p values (1)",
            "drop table p;",
            vec!["p (1 row)"],
        ),
        (
            "create table \"Odd \"\"name\" (\"A b\" int); insert into \"Odd \"\"name\" values (1)",
            "alter table public.\"Odd \"\"name\" drop column \"A b\";",
            vec!["Odd \"name.A b (1 row with a value)"],
        ),
        ("create view v as select 1", "drop view v; drop table if exists nowhere cascade;", vec![]),
        (
            "create table q (n int); insert into a values (1), (2); insert into q values (2)",
            "delete from a using q where a.n = q.n;",
            vec!["a (1 row)"],
        ),
    ] {
        let database = Backend::Postgres.empty().await;
        assert_eq!(lost(&database, before, up).await, losses, "{up}");
    }
}

#[apply(both!)]
async fn an_upgrade_on_start_loses_no_data(backend: Backend) {
    let database = backend.empty().await;
    let revisions = vec![tables()[0].clone(), revision("0002", "drop table a;", "select 1;")];
    Server::holding(&database, &revisions).await.upgrade("0001").await.unwrap();
    database.execute("insert into a values (1)").await;
    let url = database.url().parse().unwrap();
    let config = schema::Config {
        step_grace: schema::STEP_GRACE,
        reflection: Default::default(),
        database: url,
        upgrade_on_start: true,
        revisions: Some(revisions),
    };
    let state = Server::of(config).await.current().await;
    assert_eq!(state.revision, "0001");
    assert!(state.message.contains("a (1 row) by 0002"), "{}", state.message);
}

#[apply(both!)]
async fn a_table_that_is_renamed_first_is_not_lost(backend: Backend) {
    let database = backend.empty().await;
    let moved = "alter table a rename to old; create table a (m integer); \
                 insert into a select n from old; drop table old;";
    let revisions = [tables()[0].clone(), revision("0002", moved, "select 1;")];
    let server = Server::holding(&database, &revisions).await;
    server.upgrade("0001").await.unwrap();
    database.execute("insert into a values (1), (2)").await;
    server.upgrade("head").await.unwrap();
    assert_eq!(database.column("select sum(m) from a").await, [Some("3".into())]);
}

#[apply(both!)]
async fn a_column_is_lost_once(backend: Backend) {
    let database = backend.empty().await;
    let twice = "alter table a drop column n; create table b (k integer); \
                 insert into b (k) select k from a; drop table a;";
    let first = revision("0001", "create table a (n integer, k integer);", "drop table a;");
    let revisions = [first, revision("0002", twice, "select 1;")];
    let server = Server::holding(&database, &revisions).await;
    server.upgrade("0001").await.unwrap();
    database.execute("insert into a values (1, 2)").await;
    let refusal = server.upgrade("head").await.unwrap_err();
    let words = "data would be lost: a.n (1 row with a value) by 0002; ";
    assert!(refusal.message().starts_with(words), "{}", refusal.message());
}

#[apply(both!)]
async fn uncountable_rows_of_an_empty_table_are_no_loss(backend: Backend) {
    let database = backend.empty().await;
    let nested = "alter table a add column m integer; delete from a where m is null;";
    let revisions = [tables()[0].clone(), revision("0002", nested, "select 1;")];
    let server = Server::holding(&database, &revisions).await;
    server.upgrade("0001").await.unwrap();
    server.upgrade("head").await.unwrap();
    assert!(server.current().await.at_head);
}
