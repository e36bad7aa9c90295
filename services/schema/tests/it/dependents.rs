//! Live dependents: known to every server, in the way of what would break them, gone when they go.

use api::schema::v1::{
    Dependent, DowngradeRequest, ListOperationsRequest, Operation, PlanRequest, SchemaState,
    StampRequest, UpgradeRequest, WatchRequest, WatchResponse, plan_request::Direction,
};
use testing::{Backend, apply, both, eventually, info, reason};
use tonic::{Code, Streaming};

use crate::server::{Server, tables};

async fn watch(server: &Server, instance: &str, requires: &str) -> Streaming<WatchResponse> {
    let dependent = Dependent {
        service: "chat".into(),
        instance: instance.into(),
        version: "1.0".into(),
        requires: requires.into(),
        built_with: "0003".into(),
        since: None,
    };
    let request = WatchRequest { dependent: Some(dependent) };
    server.client().watch(request).await.unwrap().into_inner()
}

async fn next(states: &mut Streaming<WatchResponse>) -> SchemaState {
    states.message().await.unwrap().unwrap().state.unwrap()
}

async fn names(server: &Server) -> Vec<String> {
    server.current().await.dependents.into_iter().map(|dependent| dependent.instance).collect()
}

fn down(target: &str, force: bool) -> DowngradeRequest {
    let target = target.into();
    DowngradeRequest { target, force, allow_data_loss: true, ..DowngradeRequest::default() }
}

async fn downgrade(server: &Server, request: DowngradeRequest) -> Result<(), tonic::Status> {
    let mut events = server.client().downgrade(request).await?.into_inner();
    while events.message().await?.is_some() {}
    Ok(())
}

#[apply(both!)]
async fn every_server_knows_dependents_and_refuses_to_break_them(backend: Backend) {
    let database = backend.empty().await;
    let here = Server::holding(&database, &tables()).await;
    let there = Server::holding(&database, &tables()).await;
    here.upgrade("head").await.unwrap();
    let mut one = watch(&here, "one", "0002").await;
    assert!(next(&mut one).await.at_head);
    let mut two = watch(&here, "two", "0003").await;
    assert_eq!(names(&there).await, ["one", "two"]);
    let seen = next(&mut two).await.dependents;
    assert_eq!(seen.iter().map(|dependent| &dependent.instance).collect::<Vec<_>>(), ["two"]);

    let request = PlanRequest { direction: Some(Direction::DowngradeTo("0002".into())) };
    let breaks = there.client().plan(request).await.unwrap().into_inner().breaks;
    assert_eq!(breaks.iter().map(|one| one.instance.as_str()).collect::<Vec<_>>(), ["two"]);
    let refusal = downgrade(&there, down("0001", false)).await.unwrap_err();
    let seen = (refusal.code(), reason(&refusal));
    assert_eq!(seen, (Code::FailedPrecondition, "DEPENDENTS_WOULD_BREAK".into()));
    assert!(info(&refusal, "dependents").contains("chat/one (requires 0002"), "{refusal}");
    let refusal = downgrade(&there, down("0002", false)).await.unwrap_err();
    assert!(!refusal.message().contains("chat/one"), "{refusal}");

    // Who says goodbye is forgotten; who stays, and can, does not mind.
    drop(two);
    eventually("two is forgotten", async || (names(&there).await == ["one"]).then_some(())).await;
    downgrade(&there, down("0002", false)).await.unwrap();
    downgrade(&there, down("base", true)).await.unwrap();
    assert_eq!(there.current().await.revision, "");
}

async fn operations(server: &Server) -> Vec<Operation> {
    let request = ListOperationsRequest::default();
    server.client().list_operations(request).await.unwrap().into_inner().operations
}

#[apply(both!)]
async fn dependents_broken_by_force_are_recorded(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    server.upgrade("head").await.unwrap();
    // As a build before 865dd92 left it: the ledger can be read, and the next operation migrates it.
    database.execute("drop table schemagate_forced; drop table schemagate_bookkeeping").await;
    let mut one = watch(&server, "one", "0002").await;
    let mut two = watch(&server, "two", "0003").await;
    assert!(next(&mut one).await.at_head && next(&mut two).await.at_head);
    assert_eq!(operations(&server).await.len(), 1);

    let last = |operations: Vec<Operation>| operations.into_iter().next().unwrap();
    downgrade(&server, down("0002", true)).await.unwrap();
    let forced = ["chat/two (requires 0003, built with 0003)"];
    assert_eq!(last(operations(&server).await).forced_past, forced);
    downgrade(&server, down("0001", true)).await.unwrap();
    let forced = ["chat/one (requires 0002, built with 0003)", forced[0]];
    assert_eq!(last(operations(&server).await).forced_past, forced);
    server.client().stamp(StampRequest { revision: "base".into(), force: true }).await.unwrap();
    assert_eq!(last(operations(&server).await).forced_past, forced);

    // Force that breaks no dependent is not recorded.
    drop((one, two));
    eventually("they are forgotten", async || names(&server).await.is_empty().then_some(())).await;
    database.execute("drop table a").await;
    let request =
        UpgradeRequest { target: "0001".into(), force: true, ..UpgradeRequest::default() };
    server.upgrade_with(request).await.unwrap();
    let all = operations(&server).await;
    assert_eq!(all.iter().map(|one| one.forced_past.len()).collect::<Vec<_>>(), [0, 2, 2, 1, 0]);
}

/// Lets a dependent come right after an operation has looked who is there.
const fn latecomer(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => {
            "create function come() returns trigger language plpgsql as $$ begin \
             insert into schemagate_dependents values ('chat', 'late', '', '0003', '0003', now(), \
             'x', now() + interval '1 minute'); return new; end $$; \
             create trigger come after insert on schemagate_operations \
             for each row execute function come()"
        }
        Backend::Sqlite => {
            "create trigger come after insert on schemagate_operations begin \
             insert into schemagate_dependents values ('chat', 'late', '', '0003', '0003', \
             strftime('%Y-%m-%d %H:%M:%f000', 'now'), 'x', \
             strftime('%Y-%m-%d %H:%M:%f000', 'now', '+60 seconds')); end"
        }
    }
}

#[apply(both!)]
async fn a_dependent_that_registers_late_is_seen_by_the_step(backend: Backend) {
    let name = "chat/late (requires 0003, built with 0003)";
    for force in [false, true] {
        let database = backend.empty().await;
        let server = Server::holding(&database, &tables()).await;
        server.upgrade("head").await.unwrap();
        database.execute(latecomer(backend)).await;
        let outcome = downgrade(&server, down("0002", force)).await;
        let last = operations(&server).await.remove(0);
        if force {
            outcome.unwrap();
            assert_eq!(last.forced_past, [name]);
        } else {
            let refusal = outcome.unwrap_err();
            assert_eq!(info(&refusal, "dependents"), name);
            assert_eq!((last.forced_past.len(), last.to_revision.as_str()), (0, "0003"));
        }
    }
}

#[apply(both!)]
async fn a_failed_operation_records_its_forced_dependents(backend: Backend) {
    let database = backend.empty().await;
    let mut revisions = tables();
    revisions[2].down = "drop table nowhere;".into();
    let server = Server::holding(&database, &revisions).await;
    server.upgrade("head").await.unwrap();
    let mut one = watch(&server, "one", "0003").await;
    assert!(next(&mut one).await.at_head);
    downgrade(&server, down("0002", true)).await.unwrap_err();
    let failure = server.current().await.last_failure.unwrap();
    assert_eq!(failure.forced_past, ["chat/one (requires 0003, built with 0003)"]);
}

#[apply(both!)]
async fn a_stamp_considers_dependents(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    server.upgrade("head").await.unwrap();
    let mut one = watch(&server, "one", "0002").await;
    assert!(next(&mut one).await.at_head);
    let stamp = async |force| {
        let request = StampRequest { revision: "0001".into(), force };
        server.client().stamp(request).await
    };
    let refusal = stamp(false).await.unwrap_err();
    assert_eq!(reason(&refusal), "DEPENDENTS_WOULD_BREAK");
    assert_eq!(server.current().await.revision, "0003");
    stamp(true).await.unwrap();
    assert_eq!(server.current().await.revision, "0001");
}

#[apply(both!)]
async fn an_upgrade_that_breaks_an_older_build_waits_for_it(backend: Backend) {
    let database = backend.empty().await;
    let mut revisions = tables();
    let server = Server::holding(&database, &revisions).await;
    server.upgrade("head").await.unwrap();
    let old = watch(&server, "old", "0002").await;
    let mut breaking =
        crate::server::revision("0004", "drop table a;", "create table a (n integer);");
    breaking.compatible_from = Some("0004".into());
    revisions.push(breaking);
    let newer = Server::holding(&database, &revisions).await;
    let request = UpgradeRequest { target: "head".into(), ..UpgradeRequest::default() };
    let refusal = newer.upgrade_with(request.clone()).await.unwrap_err();
    assert_eq!(reason(&refusal), "DEPENDENTS_WOULD_BREAK");
    assert!(refusal.message().contains("chat/old"), "{refusal}");
    drop(old);
    eventually("old is forgotten", async || names(&newer).await.is_empty().then_some(())).await;
    newer.upgrade_with(request).await.unwrap();
    // An older server tells an older build too.
    assert_eq!(server.current().await.compatible_from, "0004");
}

#[apply(both!)]
async fn a_dependent_that_registers_before_the_first_upgrade_is_kept(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    let mut early = watch(&server, "early", "0003").await;
    assert!(!next(&mut early).await.at_head);
    server.upgrade("head").await.unwrap();
    while !next(&mut early).await.at_head {}
    assert_eq!(names(&server).await, ["early"]);
    assert!(downgrade(&server, down("-1", false)).await.is_err());
}

#[apply(both!)]
async fn the_first_operation_on_a_database_of_another_tool_considers_watchers(backend: Backend) {
    let alembics = "drop table __diesel_schema_migrations; \
                    create table alembic_version (version_num varchar(32) primary key); \
                    insert into alembic_version values ";
    for by_alembic in [false, true] {
        let database = backend.at_head().await;
        let here = Server::start(&database).await;
        let there = Server::start(&database).await;
        let head = here.current().await.head;
        if by_alembic {
            database.execute(&format!("{alembics} ('{head}')")).await;
        }
        let mut one = watch(&here, "one", &head).await;
        assert!(next(&mut one).await.at_head);
        // The bookkeeping does not exist yet.
        assert!(names(&there).await.is_empty());
        let refusal = downgrade(&there, down("-1", false)).await.unwrap_err();
        assert_eq!(reason(&refusal), "DEPENDENTS_WOULD_BREAK");
        assert!(info(&refusal, "dependents").contains("chat/one"), "{refusal}");
        assert!(here.current().await.at_head);
        assert_eq!(names(&there).await, ["one"]);
    }
}

#[apply(both!)]
async fn registering_and_migrating_cannot_race(backend: Backend) {
    let database = backend.empty().await;
    let here = Server::holding(&database, &tables()).await;
    let there = Server::holding(&database, &tables()).await;
    let mut refused = 0;
    for round in 0..20 {
        here.upgrade("head").await.unwrap();
        let instance = format!("racer-{round}");
        let (mut states, reverted) =
            tokio::join!(watch(&here, &instance, "0003"), downgrade(&there, down("-1", false)));
        let first = next(&mut states).await;
        match reverted {
            // It was not there when the step was committed: then it has read what the step did.
            Ok(()) => assert_eq!(first.revision, "0002", "round {round}: {first:?}"),
            Err(refusal) => {
                assert_eq!(reason(&refusal), "DEPENDENTS_WOULD_BREAK");
                refused += 1;
            }
        }
        drop(states);
        eventually("it is forgotten", async || names(&here).await.is_empty().then_some(())).await;
    }
    println!("{refused} of 20 downgrades were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_dependent_are_validated() {
    let database = Backend::Sqlite.empty().await;
    let server = Server::holding(&database, &tables()).await;
    let request = |instance: &str, requires: &str| WatchRequest {
        dependent: Some(Dependent {
            service: "chat".into(),
            instance: instance.into(),
            requires: requires.into(),
            ..Dependent::default()
        }),
    };
    for (wrong, field) in [
        (request("", "0002"), "dependent.instance"),
        (request("a\0", "0002"), "dependent.instance"),
        (request("a", "head"), "dependent.requires"),
    ] {
        let refusal = server.client().watch(wrong).await.unwrap_err();
        assert_eq!(testing::bad_fields(&refusal), [field]);
    }
}
