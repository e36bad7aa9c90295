//! `kill -9` of the schema service inside 0001: the database is empty or at 0001, never between, and
//! the next Upgrade ends at head.

use std::time::{Duration, Instant};

use api::schema::v1::{
    Event, UpgradeRequest, event::Kind, schema_service_client::SchemaServiceClient,
};
use futures_util::{StreamExt as _, stream};
use testing::{Backend, TestDatabase, apply, both, channel, eventually, upgrade};

use crate::services::schema;

const KILLS: u32 = 20;

/// How many of them are under way at a time, each on a database of its own.
const AT_A_TIME: usize = 4;

/// Diesel's table, with a trigger on it that takes far longer than a test: the step's own record
/// is its last write, so that it cannot end before its process does.
const ENDLESS_POSTGRES: &str = "
    create table __diesel_schema_migrations (
        version varchar(50) primary key, run_on timestamp not null default current_timestamp);
    create function linger() returns trigger language plpgsql as
        $$ begin perform pg_sleep(600); return new; end $$;
    create trigger linger before insert on __diesel_schema_migrations
        for each row execute function linger()";

/// SQLite cannot sleep; it counts.
const ENDLESS_SQLITE: &str = "
    create table __diesel_schema_migrations (
        version varchar(50) primary key not null, run_on text not null default current_timestamp);
    create trigger linger before insert on __diesel_schema_migrations begin
        select count(*) from (
            with recursive t(n) as (select 1 union all select n + 1 from t where n < 1e10)
            select n from t);
    end";

#[apply(both!)]
async fn a_kill_inside_the_step_leaves_nothing_of_it(backend: Backend) {
    let kill = async |number| {
        let database = backend.empty().await;
        database.execute(endless(backend)).await;
        // From its first statement on, into its last.
        kill_in_0001(&database, Duration::from_millis(2) * number).await;
        assert_eq!(left_by(backend, &database).await, Left::Nothing);
        database.execute(endless_no_more(backend)).await;
        upgrade_to_head(&database).await;
    };
    stream::iter(0..KILLS).for_each_concurrent(AT_A_TIME, kill).await;
}

#[apply(both!)]
async fn a_kill_at_any_moment_leaves_all_of_the_step_or_nothing(backend: Backend) {
    let undisturbed = duration_of_upgrade(backend).await;
    let mut whole = 0;
    for number in 0..KILLS {
        let database = backend.empty().await;
        // From the call to somewhat past its end.
        kill_in_upgrade(&database, undisturbed * number * 3 / (KILLS * 2)).await;
        whole += usize::from(left_by(backend, &database).await == Left::Whole);
        upgrade_to_head(&database).await;
    }
    println!(
        "{backend:?}: an upgrade of {undisturbed:?}; {whole} of {KILLS} kills found 0001 committed"
    );
}

const fn endless(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => ENDLESS_POSTGRES,
        Backend::Sqlite => ENDLESS_SQLITE,
    }
}

const fn endless_no_more(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => "drop function linger cascade",
        Backend::Sqlite => "drop trigger linger",
    }
}

/// Kills a schema service this long after it began with 0001.
async fn kill_in_0001(database: &TestDatabase, after: Duration) {
    let mut service = schema(database);
    let client = SchemaServiceClient::new(channel(service.address("schema").await));
    let request = UpgradeRequest { target: "0001".into(), ..Default::default() };
    let stream = client.clone().upgrade(request).await.unwrap();
    let mut events = stream.into_inner();
    let begun = |event: Event| event.kind() == Kind::StepStarted && event.revision == "0001";
    while !begun(events.message().await.unwrap().unwrap().event.unwrap()) {}
    tokio::time::sleep(after).await;
    service.kill().await;
}

/// Kills a schema service this long after it was asked for 0001.
async fn kill_in_upgrade(database: &TestDatabase, after: Duration) {
    let mut service = schema(database);
    let call = tokio::spawn(upgrade(service.address("schema").await, "0001"));
    tokio::time::sleep(after).await;
    service.kill().await;
    // Its caller sees the end of the connection, or came to its own.
    let _ = call.await.unwrap();
}

/// The five tables of 0001, and PostgreSQL's two types.
const fn objects_of_0001(backend: Backend) -> usize {
    match backend {
        Backend::Postgres => 7,
        Backend::Sqlite => 5,
    }
}

/// What a killed step left of 0001.
#[derive(Debug, Eq, PartialEq)]
enum Left {
    Nothing,
    Whole,
}

async fn left_by(backend: Backend, database: &TestDatabase) -> Left {
    let objects = match backend {
        Backend::Postgres => {
            // A dead service's last statements may still run, until the server finds out.
            let connections = "select pid from pg_stat_activity where datname = current_database() \
                               and application_name = 'schemagate-schema'";
            eventually("the killed service's connections end", async || {
                database.column(connections).await.is_empty().then_some(())
            })
            .await;
            "select relname from pg_class where relnamespace = 'public'::regnamespace \
             and relkind = 'r' union select typname from pg_type where typtype = 'e'"
        }
        Backend::Sqlite => "select name from sqlite_master where type = 'table'",
    };
    let mut objects = database.column(objects).await;
    let bookkept = objects.contains(&Some("__diesel_schema_migrations".into()));
    let recorded = match bookkept {
        true => database.column("select version from __diesel_schema_migrations").await,
        false => Vec::new(),
    };
    // The bookkeeping's own tables come before the step.
    let before = ["__diesel_schema_migrations", "schemagate_", "sqlite_"];
    objects.retain(|name| {
        let name = name.as_deref().unwrap_or_default();
        !before.iter().any(|prefix| name.starts_with(prefix))
    });
    match (objects.len(), recorded.len()) {
        (0, 0) => Left::Nothing,
        (made, 1) if made == objects_of_0001(backend) => Left::Whole,
        _ => panic!("between: {recorded:?} with {objects:?}"),
    }
}

/// How long an upgrade to 0001 takes when nobody disturbs it.
async fn duration_of_upgrade(backend: Backend) -> Duration {
    let database = backend.empty().await;
    let mut service = schema(&database);
    let address = service.address("schema").await;
    let called = Instant::now();
    upgrade(address, "0001").await.unwrap();
    called.elapsed()
}

async fn upgrade_to_head(database: &TestDatabase) {
    let mut service = schema(database);
    let events = upgrade(service.address("schema").await, "head").await.unwrap();
    assert!(events.last().unwrap().state.as_ref().unwrap().at_head, "{events:?}");
}
