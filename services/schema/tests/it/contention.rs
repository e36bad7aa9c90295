//! Many callers, many servers, and locks that others hold.

use std::time::{Duration, Instant};

use api::schema::v1::{UpgradeRequest, UpgradeResponse, event::Kind, operation::Outcome};
use testing::{Backend, Session, TestDatabase, apply, both, eventually, reason};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::server::{Server, event_lines, tables};

const LOCK_TIMEOUT: Duration = Duration::from_millis(50);

/// Stands in the way of every step: in PostgreSQL a lock on what each step writes into, in SQLite
/// the one lock that there is.
async fn stand_in_the_way(backend: Backend, database: &TestDatabase) -> Session {
    let mut session = database.session().await;
    session
        .execute(match backend {
            Backend::Postgres => "begin; lock table a in access exclusive mode",
            Backend::Sqlite => "begin immediate",
        })
        .await;
    session
}

fn revisions() -> Vec<revisions::Revision> {
    let mut revisions = tables();
    revisions[1].up = "alter table a add column m integer;".into();
    revisions[1].down = "alter table a drop column m;".into();
    revisions
}

/// Upgrades to 0001, stands in the way, and begins an upgrade to 0002 that waits.
async fn waiting(backend: Backend, database: &TestDatabase) -> (Server, Session) {
    let server = Server::holding(database, &revisions()).await;
    server.upgrade("0001").await.unwrap();
    let session = stand_in_the_way(backend, database).await;
    (server, session)
}

fn to_0002(wait: i64) -> UpgradeRequest {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let lock_timeout = prost_types::Duration::try_from(LOCK_TIMEOUT).ok();
    UpgradeRequest {
        target: "0002".into(),
        lock_timeout,
        wait: seconds(wait),
        ..UpgradeRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_timeout_rolls_the_step_back_and_retries_it() {
    let database = Backend::Postgres.empty().await;
    let (server, mut session) = waiting(Backend::Postgres, &database).await;
    let mut events = server.client().upgrade(to_0002(30)).await.unwrap().into_inner();
    let retried = loop {
        let event = events.message().await.unwrap().unwrap().event.unwrap();
        // A busy machine may miss who it was the first time.
        if event.kind() == Kind::StepRetried && event.message.contains("blocked by pid") {
            break event;
        }
    };
    assert!(retried.message.contains("lock table a"), "{}", retried.message);
    let running = server.current().await.running.unwrap();
    assert_eq!((running.outcome(), running.to_revision.as_str()), (Outcome::Running, "0002"));
    session.execute("rollback").await;
    collect(events).await;
    assert_eq!(server.current().await.revision, "0002");
}

/// A reader that holds its table open keeps the step waiting, and later readers queue
/// behind the step: for no longer than the lock timeout, however long the reader stays.
#[apply(both!)]
async fn readers_wait_for_no_longer_than_the_lock_timeout(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &revisions()).await;
    server.upgrade("0001").await.unwrap();
    let mut holder = database.session().await;
    holder.execute("begin; select n from a").await;
    let mut events = server.client().upgrade(to_0002(60)).await.unwrap().into_inner();
    let reading = CancellationToken::new();
    let reads = tokio::spawn(read(database.session().await, reading.clone()));
    let mut retries = 0;
    while let Some(response) = events.message().await.unwrap() {
        retries += u32::from(is_retry(&response));
        if retries == 3 {
            holder.execute("rollback").await;
        }
    }
    reading.cancel();
    let (reads, worst) = reads.await.unwrap();
    assert_eq!(server.current().await.revision, "0002");
    println!("{backend:?}: {reads} reads, {retries} retries; the worst read took {worst:?}");
    // Readers of SQLite block no writer, and no writer blocks them.
    assert_eq!(retries > 0, backend == Backend::Postgres);
    // The timeout, and what a machine may take that is busy with other tests.
    assert!(worst < LOCK_TIMEOUT + Duration::from_secs(1), "{worst:?}");
}

fn is_retry(response: &UpgradeResponse) -> bool {
    response.event.as_ref().is_some_and(|event| event.kind() == Kind::StepRetried)
}

/// Reads again and again; how often, and how long the slowest took.
async fn read(mut session: Session, until: CancellationToken) -> (u32, Duration) {
    let (mut reads, mut worst) = (0, Duration::ZERO);
    while !until.is_cancelled() {
        let began = Instant::now();
        session.column("select n from a").await;
        worst = worst.max(began.elapsed());
        reads += 1;
    }
    (reads, worst)
}

#[apply(both!)]
async fn when_the_wait_ends_nothing_is_kept(backend: Backend) {
    let database = backend.empty().await;
    let (server, _session) = waiting(backend, &database).await;
    let refusal = server.upgrade_with(to_0002(1)).await.unwrap_err();
    assert_eq!((refusal.code(), reason(&refusal).as_str()), (Code::Unavailable, "LOCK_TIMEOUT"));
    assert_eq!(server.current().await.revision, "0001");
}

#[apply(both!)]
async fn an_equal_request_joins_and_another_waits(backend: Backend) {
    let database = backend.empty().await;
    let (server, mut session) = waiting(backend, &database).await;
    let other = Server::holding(&database, &revisions()).await;
    let begin = |server: &Server| {
        let mut client = server.client();
        tokio::spawn(async move {
            collect(client.upgrade(to_0002(60)).await.unwrap().into_inner()).await
        })
    };
    let first = begin(&server);
    // Another server, and another target here, may not wait: they hear what runs.
    let head = UpgradeRequest {
        wait: Some(prost_types::Duration::default()),
        ..UpgradeRequest::default()
    };
    for impatient in [&other, &server] {
        let refusal = eventually("the first holds the lock", async || {
            let refusal = impatient.upgrade_with(head.clone()).await.unwrap_err();
            (refusal.code() == Code::Aborted).then_some(refusal)
        })
        .await;
        assert_eq!(reason(&refusal), "OPERATION_RUNNING");
    }
    if backend == Backend::Postgres {
        let refusal = other.upgrade_with(head).await.unwrap_err();
        assert!(refusal.message().contains("upgrade from 0001 to 0002"), "{}", refusal.message());
    }
    // These may: one joins, two go on from there.
    let joined = begin(&server);
    let later = UpgradeRequest::default();
    let (here, there, ()) = tokio::join!(
        server.upgrade_with(later.clone()),
        other.upgrade_with(later),
        session.execute("rollback"),
    );
    let (first, joined) = (first.await.unwrap(), joined.await.unwrap());
    assert_eq!(event_lines(&first).last().unwrap(), "FINISHED");
    // It may have come when all was done; else it saw the very same run.
    assert!(joined == first || event_lines(&joined) == ["FINISHED"], "{joined:?}");
    let steps: Vec<String> =
        [here.unwrap(), there.unwrap()].iter().flat_map(|events| event_lines(events)).collect();
    assert_eq!(steps.iter().filter(|step| *step == "STEP_FINISHED 0003").count(), 1, "{steps:?}");
    assert!(other.current().await.at_head);
}

async fn collect(
    mut events: tonic::Streaming<api::schema::v1::UpgradeResponse>,
) -> Vec<api::schema::v1::Event> {
    let mut all = Vec::new();
    while let Some(response) = events.message().await.unwrap() {
        all.extend(response.event);
    }
    all
}

#[apply(both!)]
async fn twenty_concurrent_upgrades_run_once(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &revisions()).await;
    let other = Server::holding(&database, &revisions()).await;
    let calls = (0..20).map(|n| {
        let client = if n % 2 == 0 { server.client() } else { other.client() };
        async move {
            let mut client = client;
            collect(client.upgrade(UpgradeRequest::default()).await.unwrap().into_inner()).await
        }
    });
    let all = futures_util::future::join_all(calls).await;
    assert!(all.iter().all(|events| event_lines(events).last().unwrap() == "FINISHED"));
    let rows = database.column("select count(*) from schemagate_operations").await;
    assert_eq!(rows, [Some("1".into())]);
    eventually("both servers agree", async || {
        (server.current().await.at_head && other.current().await.at_head).then_some(())
    })
    .await;
}
