//! Current and Watch: they read, and say what is.

use api::schema::v1::{
    Backend as Kind, ListOperationsRequest, ListRevisionsRequest, Status, WatchRequest,
};
use testing::{Backend, apply, both, reason};
use tonic::Code;

use crate::server::{Server, revision, tables};

/// Every table that is there, ours included.
fn all_tables(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => {
            "select relname from pg_class where relnamespace = 'public'::regnamespace"
        }
        Backend::Sqlite => "select name from sqlite_schema",
    }
}

#[apply(both!)]
async fn an_empty_database_is_read_and_left_empty(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    let state = server.current().await;
    assert_eq!(state.status(), Status::Empty);
    assert_eq!((state.revision.as_str(), state.head.as_str()), ("", "0003"));
    assert_eq!(state.pending, ["0001", "0002", "0003"]);
    assert!(!state.at_head && state.message.contains("0001, 0002, 0003"), "{}", state.message);
    let mut watch = server.client().watch(WatchRequest::default()).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap().state.unwrap();
    assert_eq!(first.status(), Status::Empty);
    let operations = server.client().list_operations(ListOperationsRequest::default()).await;
    assert!(operations.unwrap().into_inner().operations.is_empty());
    assert!(database.column(all_tables(backend)).await.is_empty());
}

#[apply(both!)]
async fn a_role_that_may_only_read_is_enough(backend: Backend) {
    let database = backend.at_head().await;
    let url = match backend {
        Backend::Sqlite => format!("{}?mode=ro", database.url()),
        Backend::Postgres => {
            let role = database.url().rsplit('/').next().unwrap().replace("test_", "reader_");
            database.execute(&format!("create role {role} login password 'r'; grant select on all tables in schema public to {role}")).await;
            let (_, host) = database.url().rsplit_once('@').unwrap();
            format!("postgres://{role}:r@{host}")
        }
    };
    let server = Server::of(schema::Config {
        step_grace: schema::STEP_GRACE,
        reflection: Default::default(),
        database: url.parse().unwrap(),
        upgrade_on_start: false,
        revisions: None,
    })
    .await;
    let state = server.current().await;
    assert_eq!(state.status(), Status::AtHead, "{state:?}");
    // Nor does an Upgrade that has nothing to do need more.
    assert_eq!(server.upgrade("").await.unwrap().len(), 1);
    if backend == Backend::Postgres {
        let role = url.split("//").nth(1).unwrap().split(':').next().unwrap();
        drop(server);
        database.execute(&format!("drop owned by {role}; drop role {role}")).await;
    }
}

#[apply(both!)]
async fn a_history_of_the_diesel_cli_counts(backend: Backend) {
    let database = backend.at("0002").await;
    let server = Server::start(&database).await;
    let state = server.current().await;
    assert_eq!((state.status(), state.revision.as_str()), (Status::Behind, "0002"));
    assert_eq!(
        state.backend(),
        if backend == Backend::Postgres { Kind::Postgres } else { Kind::Sqlite }
    );
    server.upgrade("head").await.unwrap();
    let versions = "select version from __diesel_schema_migrations order by 1";
    let applied: Vec<String> = database.column(versions).await.into_iter().flatten().collect();
    assert_eq!(applied.last(), Some(&server.current().await.revision));
    assert_eq!(server.current().await.status(), Status::AtHead);
}

#[apply(both!)]
async fn what_blocks_an_upgrade_is_seen_and_named(backend: Backend) {
    let database = backend.empty().await;
    let all = tables();
    Server::holding(&database, &all).await.upgrade("head").await.unwrap();

    let older = Server::holding(&database, &all[..2]).await;
    let state = older.current().await;
    assert_eq!((state.status(), &state.unknown[..]), (Status::Ahead, &["0003".to_owned()][..]));
    let refusal = older.upgrade("head").await.unwrap_err();
    assert_eq!(
        (refusal.code(), reason(&refusal).as_str()),
        (Code::FailedPrecondition, "REVISIONS_UNKNOWN")
    );

    let changed = [
        all[0].clone(),
        revision("0002", "create table b (n text);", "drop table b;"),
        all[2].clone(),
    ];
    let changed = Server::holding(&database, &changed).await;
    let state = changed.current().await;
    assert_eq!((state.status(), &state.altered[..]), (Status::Diverged, &["0002".to_owned()][..]));
    let refusal = changed.upgrade("head").await.unwrap_err();
    assert_eq!(reason(&refusal), "REVISIONS_ALTERED");

    database.execute("delete from __diesel_schema_migrations where version = '0002'").await;
    let server = Server::holding(&database, &all).await;
    let state = server.current().await;
    assert_eq!((state.status(), state.revision.as_str()), (Status::Behind, "0003"));
    assert_eq!(
        (&state.pending, &state.out_of_order),
        (&vec!["0002".to_owned()], &vec!["0002".to_owned()])
    );
    let refusal = server.upgrade("head").await.unwrap_err();
    assert_eq!(
        (refusal.code(), reason(&refusal).as_str()),
        (Code::FailedPrecondition, "REVISIONS_OUT_OF_ORDER")
    );
}

#[apply(both!)]
async fn watch_reports_changes_by_another_server(backend: Backend) {
    let database = backend.empty().await;
    let (here, there) =
        (Server::holding(&database, &tables()).await, Server::holding(&database, &tables()).await);
    let mut watch = here.client().watch(WatchRequest::default()).await.unwrap().into_inner();
    let mut epochs = vec![watch.message().await.unwrap().unwrap().state.unwrap().epoch];
    there.upgrade("head").await.unwrap();
    let at_head = loop {
        let state = watch.message().await.unwrap().unwrap().state.unwrap();
        epochs.push(state.epoch);
        if state.at_head {
            break state;
        }
    };
    assert_eq!(at_head.revision, "0003");
    assert!(epochs.is_sorted() && at_head.epoch == 3, "{epochs:?}");
    // A server that ends, ends its streams, and says that another may answer.
    here.stop().await;
    let ended = watch.message().await.unwrap_err();
    let ended = (ended.code(), testing::reason(&ended));
    assert_eq!(ended, (tonic::Code::Unavailable, "SHUTTING_DOWN".into()));
}

#[apply(both!)]
async fn revisions_are_listed_in_pages(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::holding(&database, &tables()).await;
    server.upgrade("0002").await.unwrap();
    let page = |page_size, page_token: &str| ListRevisionsRequest {
        page_size,
        page_token: page_token.into(),
    };
    let first = server.client().list_revisions(page(2, "")).await.unwrap().into_inner();
    let ids: Vec<&str> =
        first.revisions.iter().map(|revision| revision.revision.as_str()).collect();
    assert_eq!(ids, ["0001", "0002"]);
    assert!(
        first
            .revisions
            .iter()
            .all(|r| r.applied && r.applied_at.is_some() && r.checksum.len() == 64)
    );
    let second =
        server.client().list_revisions(page(2, &first.next_page_token)).await.unwrap().into_inner();
    assert_eq!(second.revisions.len(), 1);
    assert!(!second.revisions[0].applied && second.next_page_token.is_empty());
    for (wrong, field) in [(page(-1, ""), "page_size"), (page(1, "nonsense"), "page_token")] {
        let refusal = server.client().list_revisions(wrong).await.unwrap_err();
        assert_eq!(
            (refusal.code(), testing::bad_fields(&refusal)),
            (Code::InvalidArgument, vec![field.to_owned()])
        );
    }
}
