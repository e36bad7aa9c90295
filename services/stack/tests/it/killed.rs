//! `kill -9` of the schema service during 0001: the database is empty or at 0001, never between, and
//! the next Upgrade ends at head.

use std::time::{Duration, Instant};

use api::schema::v1::{UpgradeRequest, event::Kind, schema_service_client::SchemaServiceClient};
use futures_util::{StreamExt as _, stream};
use testing::{Backend, TestDatabase, apply, both, channel, eventually, upgrade};
use tokio::sync::watch;

use crate::{
    services::schema,
    slow_steps::{add_endless_trigger, add_slow_trigger, drop_trigger},
};

const KILLS: u32 = 20;

/// Kills at a time, each on a database of its own.
const CONCURRENCY: usize = 4;

/// Kills that must fall inside the step, and how many are tried to get there.
const MIN_INSIDE: u32 = 3;
const MAX_KILLS: u32 = 100;

/// When a kill happens.
#[derive(Clone, Copy)]
enum Moment {
    AfterCall(Duration),
    AfterStepStarted(Duration),
}

#[apply(both!)]
async fn a_kill_inside_the_step_leaves_nothing_of_it(backend: Backend) {
    let kill = async |number| {
        let database = backend.empty().await;
        add_endless_trigger(backend, &database).await;
        // Within the body at first, later within the write of the endless row.
        let moment = Moment::AfterStepStarted(Duration::from_millis(2) * number);
        assert!(kill_in_upgrade(&database, moment).await, "the step had not started");
        assert_eq!(left_by(backend, &database).await, Left::Nothing);
        drop_trigger(backend, &database).await;
        upgrade_to_head(&database).await;
    };
    stream::iter(0..KILLS).for_each_concurrent(CONCURRENCY, kill).await;
}

#[apply(both!)]
async fn a_kill_at_any_moment_leaves_all_of_the_step_or_nothing(backend: Backend) {
    let undisturbed = duration_of_upgrade(backend).await;
    let (mut kills, mut inside, mut whole) = (0, 0, 0);
    while kills < KILLS || inside < MIN_INSIDE {
        assert!(kills < MAX_KILLS, "only {inside} of {kills} kills fell inside the step");
        let database = backend.empty().await;
        add_slow_trigger(backend, &database).await;
        // From the call to past its end, and from the step's start on.
        let part = f64::from(kills % KILLS) / f64::from(KILLS);
        let moment = match kills % 2 {
            0 => Moment::AfterCall(undisturbed.mul_f64(part * 1.5)),
            _ => Moment::AfterStepStarted(undisturbed.mul_f64(part * 0.5)),
        };
        let is_started = kill_in_upgrade(&database, moment).await;
        match left_by(backend, &database).await {
            Left::Nothing => inside += u32::from(is_started),
            Left::Whole => whole += 1,
        }
        upgrade_to_head(&database).await;
        kills += 1;
    }
    println!(
        "{backend:?}: an upgrade of {undisturbed:?}; of {kills} kills {inside} fell inside the step \
         and {whole} after its commit"
    );
}

/// Kills a schema service that upgrades to 0001; whether its caller had seen the step start.
async fn kill_in_upgrade(database: &TestDatabase, moment: Moment) -> bool {
    let mut service = schema(database);
    let mut client = SchemaServiceClient::new(channel(service.address("schema").await));
    let (started, mut is_started) = watch::channel(false);
    let call = tokio::spawn(async move {
        let request = UpgradeRequest { target: "0001".into(), ..Default::default() };
        let Ok(stream) = client.upgrade(request).await else { return };
        let mut events = stream.into_inner();
        while let Ok(Some(response)) = events.message().await {
            if response.event.unwrap().kind() == Kind::StepStarted {
                started.send_replace(true);
            }
        }
    });
    let delay = match moment {
        Moment::AfterCall(delay) => delay,
        Moment::AfterStepStarted(delay) => {
            is_started.wait_for(|started| *started).await.unwrap();
            delay
        }
    };
    tokio::time::sleep(delay).await;
    service.kill().await;
    call.await.unwrap();
    *is_started.borrow()
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
            // A dead service's last statement may still run until PostgreSQL notices.
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
    let has_records = objects.contains(&Some("__diesel_schema_migrations".into()));
    let recorded = match has_records {
        true => database.column("select version from __diesel_schema_migrations").await,
        false => Vec::new(),
    };
    // The bookkeeping tables are created before the step.
    let bookkeeping = ["__diesel_schema_migrations", "schemagate_", "sqlite_"];
    objects.retain(|name| {
        let name = name.as_deref().unwrap_or_default();
        !bookkeeping.iter().any(|prefix| name.starts_with(prefix))
    });
    match (objects.len(), recorded.len()) {
        (0, 0) => Left::Nothing,
        (count, 1) if count == objects_of_0001(backend) => Left::Whole,
        _ => panic!("between: {recorded:?} with {objects:?}"),
    }
}

/// How long an upgrade to 0001 takes that is not killed.
async fn duration_of_upgrade(backend: Backend) -> Duration {
    let database = backend.empty().await;
    add_slow_trigger(backend, &database).await;
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
