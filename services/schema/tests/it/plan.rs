//! Plan: what would run, what it costs, and nothing changes.

use api::schema::v1::{Finding, PlanRequest, PlanResponse, PlanStep, plan_request::Direction};
use testing::{Backend, TestDatabase, apply, bad_fields, both, reason};
use tonic::{Code, Status};

use crate::server::{Server, outside, revision, tables};

/// Plans with `+1`, `base` and the like: down where it says `base` or a minus.
async fn plan(server: &Server, target: &str) -> Result<PlanResponse, Status> {
    let down = target == "base" || target.starts_with('-');
    let direction = if down { Direction::DowngradeTo } else { Direction::UpgradeTo };
    let request = PlanRequest { direction: Some(direction(target.into())) };
    Ok(server.client().plan(request).await?.into_inner())
}

/// A step's findings: `NOTE table-scan: line 1: ...`, in their order.
fn findings(step: &PlanStep) -> Vec<String> {
    let words = |finding: &Finding| {
        let severity = finding.severity().as_str_name().trim_start_matches("SEVERITY_");
        let line = finding.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        format!("{severity} {}: {line}{}", finding.rule, finding.message)
    };
    step.findings.iter().map(words).collect()
}

fn revisions(plan: &PlanResponse) -> Vec<&str> {
    plan.steps.iter().map(|step| step.revision.as_str()).collect()
}

#[apply(both!)]
async fn a_plan_shows_the_upgrade_of_an_empty_database(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::start(&database).await;
    let all = server.client().plan(PlanRequest::default()).await.unwrap().into_inner();
    assert_eq!(revisions(&all)[..3], ["0001", "0002", "0003"]);
    assert_eq!(all, plan(&server, "head").await.unwrap());
    let step = &all.steps[1];
    assert_eq!(step.description, "add last message at to chats");
    assert!(step.sql.contains("alter table chats add column last_message_at"), "{}", step.sql);
    assert!(step.transactional);
    // No statement waits for a table that does not exist yet.
    assert!(!step.findings.iter().any(|finding| finding.rule.ends_with("-lock")), "{step:?}");
    assert_eq!(revisions(&plan(&server, "0002").await.unwrap()), ["0001", "0002"]);
    assert_eq!(revisions(&plan(&server, "base").await.unwrap()), [""; 0]);
    let tables = match backend {
        Backend::Postgres => {
            "select relname from pg_class where relnamespace = 'public'::regnamespace"
        }
        Backend::Sqlite => "select name from sqlite_schema",
    };
    assert!(database.column(tables).await.is_empty());
}

#[apply(both!)]
async fn a_plan_refuses_the_targets_that_the_operation_refuses(backend: Backend) {
    let database = backend.at("0002").await;
    let server = Server::start(&database).await;
    for (target, code, why) in [
        ("0001", Code::FailedPrecondition, "TARGET_BEHIND"),
        ("0009", Code::NotFound, "REVISION_UNKNOWN"),
        ("0", Code::InvalidArgument, "TARGET_AMBIGUOUS"),
        ("+9", Code::NotFound, "TARGET_PAST_THE_END"),
        ("-9", Code::NotFound, "TARGET_PAST_THE_END"),
        ("late", Code::InvalidArgument, "TARGET_MALFORMED"),
    ] {
        let refusal = plan(&server, target).await.unwrap_err();
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (code, why), "{target}: {refusal}");
    }
    let nowhere = PlanRequest { direction: Some(Direction::DowngradeTo(String::new())) };
    let refusal = server.client().plan(nowhere).await.unwrap_err();
    assert_eq!(
        (reason(&refusal).as_str(), bad_fields(&refusal)),
        ("TARGET_REQUIRED", vec!["target".into()])
    );

    database.execute("insert into __diesel_schema_migrations (version) values ('0009')").await;
    let refusal = plan(&server, "head").await.unwrap_err();
    assert_eq!(reason(&refusal), "REVISIONS_UNKNOWN");
}

/// The same database, for one who may only read.
async fn read_only(database: &TestDatabase) -> String {
    let url = database.url();
    let Some((_, rest)) = url.split_once("://") else { return format!("{url}?mode=ro") };
    let name = url.rsplit('/').next().unwrap();
    database
        .execute(&format!(
            "create role {name} login password 'reads'; grant pg_read_all_data to {name}"
        ))
        .await;
    format!("postgres://{name}:reads@{}", rest.split_once('@').unwrap().1)
}

#[apply(both!)]
async fn a_role_that_only_reads_can_plan(backend: Backend) {
    let database = backend.at("0002").await;
    database.execute(CHATS).await;
    let writer = plan(&Server::start(&database).await, "-1").await.unwrap();
    let url = read_only(&database).await;
    let config = schema::Config {
        step_grace: schema::STEP_GRACE,
        reflection: Default::default(),
        database: url.parse().unwrap(),
        upgrade_on_start: false,
        revisions: None,
    };
    let reader = Server::of(config).await;
    assert_eq!(plan(&reader, "-1").await.unwrap(), writer);
    assert_eq!(writer.steps[0].findings[0].rows, Some(2));
    reader.stop().await;
    if backend == Backend::Postgres {
        let name = database.url().rsplit('/').next().unwrap();
        database.execute(&format!("drop role {name}")).await;
    }
}

/// Three chats, two of them with a last message.
const CHATS: &str = "insert into chats (id, jid, last_message_at) values \
    ('1', 'a', '2026-01-01 00:00:00'), ('2', 'b', '2026-01-01 00:00:00'), ('3', 'c', null)";

#[apply(both!)]
async fn losses_come_first_with_their_counts(backend: Backend) {
    let database = backend.at("0002").await;
    database.execute(CHATS).await;
    let server = Server::start(&database).await;
    let down = plan(&server, "base").await.unwrap();
    assert_eq!(revisions(&down), ["0002", "0001"]);
    let lost = |step: &PlanStep| {
        let found = findings(step);
        let lost: Vec<String> =
            found.iter().filter(|it| it.starts_with("DATA_LOSS")).cloned().collect();
        assert_eq!(found[..lost.len()], lost, "the gravest come first");
        lost
    };
    let column =
        "DATA_LOSS drop-column: line 2: chats.last_message_at (2 rows with a value) would be lost";
    assert_eq!(lost(&down.steps[0]), [column]);
    let table = "DATA_LOSS drop-table: line 4: chats (3 rows) would be lost";
    assert_eq!(lost(&down.steps[1]), [table]);
    assert_eq!(down.steps[1].findings[0].rows, Some(3));
    database.execute("update chats set last_message_at = null").await;
    assert_eq!(lost(&plan(&server, "-1").await.unwrap().steps[0]), [""; 0]);
}

#[apply(both!)]
async fn a_digest_depends_on_steps_and_losses(backend: Backend) {
    let database = backend.at("0002").await;
    database.execute(CHATS).await;
    let server = Server::start(&database).await;
    let digest = async |target| plan(&server, target).await.unwrap().digest;
    let reviewed = digest("-1").await;
    assert_eq!(reviewed.len(), 64);
    // The same steps, however they are asked for, and however many rows they take.
    database.execute("insert into chats (id, jid) values ('4', 'd')").await;
    database.execute("update chats set last_message_at = created_at where id = '3'").await;
    let same = PlanRequest { direction: Some(Direction::DowngradeTo("0001".into())) };
    assert_eq!(server.client().plan(same).await.unwrap().into_inner().digest, reviewed);
    for other in ["base", "0002", "+1"] {
        assert_ne!(digest(other).await, reviewed, "{other}");
    }
    database.execute("update chats set last_message_at = null").await;
    assert_ne!(digest("-1").await, reviewed);

    let twin = backend.at("0002").await;
    twin.execute(CHATS).await;
    assert_ne!(plan(&Server::start(&twin).await, "-1").await.unwrap().digest, reviewed);
}

#[apply(both!)]
async fn another_text_has_another_digest(backend: Backend) {
    let database = backend.empty().await;
    let digest = async |up| {
        let server = Server::holding(&database, &[revision("0001", up, "drop table a;")]).await;
        plan(&server, "head").await.unwrap().digest
    };
    let reviewed = digest("create table a (n integer);").await;
    assert_eq!(digest("create table a (n integer);").await, reviewed);
    assert_ne!(digest("create table a (n bigint);").await, reviewed);
}

#[apply(both!)]
async fn a_half_applied_step_is_planned_from_its_checkpoint(backend: Backend) {
    let database = backend.empty().await;
    let second = "alter table a rename to b;\ninsert into b values (1);\ndrop table nowhere;";
    let server =
        Server::holding(&database, &[tables()[0].clone(), outside("0002", second, "select 1;")])
            .await;
    server.upgrade("head").await.unwrap_err();
    let mended = "alter table a rename to b;\ninsert into b values (1);\ndrop table b;";
    let server =
        Server::holding(&database, &[tables()[0].clone(), outside("0002", mended, "select 1;")])
            .await;
    let planned = plan(&server, "head").await.unwrap();
    assert!(!planned.steps[0].transactional);
    let found = findings(&planned.steps[0]);
    assert_eq!(found[0], "DATA_LOSS drop-table: line 3: b (1 row) would be lost");
    let resumed = "NOTE resumed: 2 of its statements are committed already";
    assert!(found.contains(&resumed.into()), "{found:?}");
}

/// The findings of the newest revision, on a database where the ones before it are applied.
async fn found(database: &TestDatabase, before: &str, up: &'static str) -> Vec<String> {
    let first = revision("0001", "create table kept (n integer);", "drop table kept;");
    let second = revision("0002", up, "select 1;");
    let server = Server::holding(database, &[first, second]).await;
    server.upgrade("0001").await.unwrap();
    database.execute(before).await;
    let planned = plan(&server, "head").await.unwrap();
    findings(planned.steps.last().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_plans_report_locks_and_sizes() {
    let database = Backend::Postgres.empty().await;
    let tables = "create table a (id int primary key, name varchar(20), n int); \
        create table parent (id int primary key); \
        create table b (parent_id int references parent); create table empty (n int); \
        insert into a select n, 'x', n from generate_series(1, 1000) n; analyze a, empty";
    let up = "create index ix_a on a (n);\n\
        alter table a alter column n type bigint;\n\
        alter table a alter column name type varchar(5);\n\
        alter table a alter column name set not null;\n\
        alter table empty add check (n > 0);\n\
        alter table b drop column parent_id;\n\
        drop index ix_a;";
    let found = found(&database, tables, up).await;
    let has = |words: &str| {
        assert!(found.iter().any(|it| it.starts_with(words)), "{words} in {found:#?}");
    };
    has("NOTE share-lock: line 1: SHARE on a (about 1000 rows, ");
    has("WARNING table-scan: line 1: reads every row of a (about 1000 rows, ");
    has("NOTE access-exclusive-lock: line 2: ACCESS EXCLUSIVE on a (about 1000 rows, ");
    has("WARNING table-rewrite: line 2: rewrites every row of a (about 1000 rows, ");
    has("WARNING narrowing-type: line 3: changes a.name from character varying(20) to varchar(5)");
    has("WARNING table-scan: line 4: reads every row of a (about 1000 rows, ");
    has("NOTE table-scan: line 5: reads every row of empty (about 0 rows, 0 KiB)");
    // The foreign key's other end is locked too.
    has("NOTE access-exclusive-lock: line 6: ACCESS EXCLUSIVE on parent (no estimate of rows");
    has("NOTE access-exclusive-lock: line 6: ACCESS EXCLUSIVE on b (");
    // The step holds it already.
    assert!(!found.iter().any(|it| it.contains("lock: line 7")), "{found:#?}");
    // squawk's own names.
    has("WARNING changing-column-type: line 2:");
    has("WARNING require-concurrent-index-creation: line 1:");
    let narrowed = found.iter().filter(|it| it.contains("narrowing-type"));
    assert_eq!(narrowed.count(), 1, "{found:#?}");
    assert!(
        !found.iter().any(|it| it.contains("DATA_LOSS") || it.contains("timeout")),
        "{found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_plans_report_rewrites() {
    let database = Backend::Sqlite.empty().await;
    let tables = "create table A (id integer primary key, name text, old text); \
        create index ix_name on a (name); create index ix_id on a (id); \
        insert into a values (1, 'x', 'gone'), (2, 'y', null)";
    let up = "create table a_new (id integer primary key, name text not null);\n\
        insert into a_new (id, name) select id, coalesce(name, '') from [a];\n\
        drop table `a`;\n\
        alter table a_new rename to a;\n\
        create index ix_id on a (id);\n\
        alter table kept drop column n;";
    let found = found(&database, tables, up).await;
    assert_eq!(
        found,
        [
            "DATA_LOSS rebuild-table: line 3: a.old (1 row with a value) would be lost",
            "WARNING table-rebuild: line 2: copies a into a table that takes its place (2 rows); \
             other writers wait until the step commits",
            "WARNING rebuild-drops-index: line 2: dropped with the old a and not created again: ix_name",
            "NOTE table-rewrite: line 6: rewrites every row of kept (0 rows); other writers \
             wait until the step commits",
        ]
    );
}
