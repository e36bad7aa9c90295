//! SIGTERM while a step is in hand, with the real binary: it is finished or rolled back, and
//! its events, the log and the database say which.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use api::schema::v1::{
    UpgradeRequest, UpgradeResponse, event::Kind, schema_service_client::SchemaServiceClient,
};
use tempfile::TempDir;
use testing::{
    Authority, Backend, Process, Scrape, SecurePostgres, TestDatabase, apply, both, channel,
    eventually, reason,
};
use tonic::{Code, Status, Streaming};

const TRANSACTION: &str = "run_in_transaction = true";
const STATEMENTS: &str = "run_in_transaction = false";

/// A statement that is not done before a test has looked, and one that is never done.
const fn long(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "select pg_sleep(1);",
        Backend::Sqlite => counting::LONG,
    }
}

const fn endless(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "select pg_sleep(600);",
        Backend::Sqlite => counting::ENDLESS,
    }
}

/// SQLite cannot sleep; it counts.
mod counting {
    pub const LONG: &str = "create table n2 as with recursive t(n) as \
        (select 1 union all select n + 1 from t where n < 2e6) select count(*) from t;";
    pub const ENDLESS: &str = "create table n2 as with recursive t(n) as \
        (select 1 union all select n + 1 from t where n < 1e12) select count(*) from t;";
}

/// A service with three revisions, of which the second makes table b and takes its time.
struct Slow {
    process: Process,
    events: Streaming<UpgradeResponse>,
    #[expect(dead_code, reason = "removes itself when dropped")]
    migrations: TempDir,
}

impl Slow {
    /// One that is at its second revision.
    async fn at_work(
        database: &TestDatabase,
        statement: &str,
        metadata: &str,
        grace: &str,
    ) -> Self {
        let migrations = tempfile::tempdir().unwrap();
        let second = format!("create table b (n integer);\n{statement}");
        for (name, up) in [
            ("0001_first", "create table a (n integer);"),
            ("0002_second", &second),
            ("0003_third", "create table c (n integer);"),
        ] {
            write(&migrations.path().join(name), up, metadata);
        }
        let env = [
            ("DATABASE_URL", database.url()),
            ("SCHEMA_MIGRATIONS_DIR", migrations.path().to_str().unwrap()),
            ("SCHEMA_STEP_GRACE", grace),
        ];
        let mut process = Process::start(env!("CARGO_BIN_EXE_schema"), &["serve"], &env);
        let channel = channel(process.address("schema").await);
        let request = UpgradeRequest {
            lock_timeout: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            wait: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
            ..UpgradeRequest::default()
        };
        let events = SchemaServiceClient::new(channel).upgrade(request).await.unwrap();
        let mut slow = Self { process, events: events.into_inner(), migrations };
        while slow.next().await.unwrap() != Some((Kind::StepStarted, "0002".into())) {}
        slow
    }

    async fn next(&mut self) -> Result<Option<(Kind, String)>, Status> {
        let event = self.events.message().await?.and_then(|response| response.event);
        Ok(event.map(|event| (event.kind(), event.revision)))
    }

    /// Sends SIGTERM. Returns the events that the caller got, the status that ended its call, and the
    /// output of the process.
    async fn end(mut self) -> (Vec<(Kind, String)>, Status, Vec<String>) {
        let asked = Instant::now();
        assert!(self.process.terminate().await.success());
        println!("it ended after {:?}", asked.elapsed());
        assert!(asked.elapsed() < Duration::from_secs(20));
        let mut events = Vec::new();
        let status = loop {
            match self.next().await {
                Ok(event) => events.push(event.unwrap()),
                Err(status) => break status,
            }
        };
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
        (events, status, self.process.output())
    }
}

fn write(folder: &Path, up: &str, metadata: &str) {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("up.sql"), up).unwrap();
    fs::write(folder.join("down.sql"), "select 1;").unwrap();
    fs::write(folder.join("metadata.toml"), metadata).unwrap();
}

/// Which of the tables are there.
async fn tables(backend: Backend, database: &TestDatabase) -> String {
    let query = match backend {
        Backend::Postgres => "select relname from pg_class where relname in ('a', 'b', 'c')",
        Backend::Sqlite => "select name from sqlite_master where name in ('a', 'b', 'c')",
    };
    let mut names: Vec<_> = database.column(query).await.into_iter().flatten().collect();
    names.sort();
    names.concat()
}

fn logged(output: &[String], words: &str) -> bool {
    output.iter().any(|line| line.contains(words))
}

#[apply(both!)]
async fn a_step_within_its_grace_finishes(backend: Backend) {
    let database = backend.empty().await;
    let slow = Slow::at_work(&database, long(backend), TRANSACTION, "20s").await;
    let (events, status, output) = slow.end().await;
    assert_eq!(events, [(Kind::StepFinished, "0002".into())]);
    let words = "revision 0002 was finished; 2 of 3 steps are done and kept";
    assert!(status.message().ends_with(words), "{}", status.message());
    assert!(logged(&output, "finished the step in progress"), "{output:?}");
    assert_eq!(tables(backend, &database).await, "ab");
    let ended = database.column("select outcome || ' ' || to_revision from schemagate_operations");
    assert_eq!(ended.await, [Some("failed 0002".into())]);
}

#[apply(both!)]
async fn a_step_beyond_its_grace_is_rolled_back(backend: Backend) {
    let database = backend.empty().await;
    let slow = Slow::at_work(&database, endless(backend), TRANSACTION, "200ms").await;
    let (events, status, output) = slow.end().await;
    assert_eq!(events, []);
    let words = "revision 0002 was rolled back; 1 of 3 steps are done and kept";
    assert!(status.message().ends_with(words), "{}", status.message());
    assert!(logged(&output, "revision 0002 was rolled back"), "{output:?}");
    assert_eq!(tables(backend, &database).await, "a");
    let versions = database.column("select version from __diesel_schema_migrations").await;
    assert_eq!(versions, [Some("0001".into())]);
}

/// A server that takes nothing but TLS hears a cancel over TLS alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_rolled_back_over_tls() {
    let authority = Authority::new();
    let server = SecurePostgres::start(&authority).await;
    let database = server.database(&authority);
    let endless = endless(Backend::Postgres);
    let slow = Slow::at_work(&database, endless, TRANSACTION, "200ms").await;
    let (_, status, _) = slow.end().await;
    let words = "revision 0002 was rolled back; 1 of 3 steps are done and kept";
    assert!(status.message().ends_with(words), "{}", status.message());
    assert_eq!(tables(Backend::Postgres, &database).await, "a");
}

#[apply(both!)]
async fn a_step_outside_a_transaction_stops_at_its_statement(backend: Backend) {
    let database = backend.empty().await;
    let slow = Slow::at_work(&database, endless(backend), STATEMENTS, "200ms").await;
    let (_, status, output) = slow.end().await;
    let words = "revision 0002 was stopped half way";
    assert!(status.message().contains(words), "{}", status.message());
    assert!(logged(&output, words), "{output:?}");
    assert_eq!(tables(backend, &database).await, "ab");
    let done = database.column("select revision || ' ' || done from schemagate_positions").await;
    assert_eq!(done, [Some("0002 1".into())]);
}

/// On PostgreSQL: on SQLite a step that has begun has the one lock there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_a_step_needs_is_not_waited_for() {
    let database = Backend::Postgres.empty().await;
    database.execute("create table held (n integer)").await;
    let mut session = database.session().await;
    session.execute("begin; lock table held in access exclusive mode").await;
    let slow = Slow::at_work(&database, "insert into held values (1);", TRANSACTION, "20s").await;
    let (_, status, _) = slow.end().await;
    let words = "revision 0002 was rolled back; 1 of 3 steps are done and kept";
    assert!(status.message().ends_with(words), "{}", status.message());
    session.execute("rollback").await;
    assert_eq!(tables(Backend::Postgres, &database).await, "a");
}

/// On SQLite: on PostgreSQL nothing waits for a lock before an operation has begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_an_operation_needs_is_not_waited_for() {
    let database = Backend::Sqlite.empty().await;
    let mut session = database.session().await;
    session.execute("begin immediate").await;
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_METRICS_LISTEN", "127.0.0.1:0")];
    let mut process = Process::start(env!("CARGO_BIN_EXE_schema"), &["serve"], &env);
    let (calls, scrapes) =
        (process.address("schema").await, process.address("schema-metrics").await);
    let called = tokio::spawn(testing::upgrade(calls, "head"));
    let under_way = "rpc_under_way{service=\"schema.v1.SchemaService\",method=\"Upgrade\"}";
    eventually("it is called", async || {
        (Scrape::of(scrapes).await.get(under_way) == Some(1.0)).then_some(())
    })
    .await;
    assert!(process.terminate().await.success());
    let status = called.await.unwrap().unwrap_err();
    assert_eq!(reason(&status), "SHUTTING_DOWN", "{status}");
    assert!(status.message().ends_with("operation had not begun"), "{status}");
}
