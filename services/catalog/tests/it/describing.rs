//! What each revision leaves behind on a scratch database.

use std::collections::BTreeSet;

use catalog::{Catalog, DescribeError, describe, file_text};
use revisions::Revision;
use sql::Dialect;
use testing::{Backend, apply, both};

use crate::{dialect, expected, live, revisions};

#[apply(both!)]
async fn the_files_hold_what_each_revision_leaves_behind(backend: Backend) {
    let server = backend.empty().await;
    let revisions = revisions(dialect(backend));
    let described = describe(&server.url().parse().unwrap(), &revisions).await.unwrap();
    assert_eq!(described.len(), revisions.len());
    for (revision, catalog) in revisions.iter().zip(&described) {
        let text = file_text(revision, catalog);
        assert_eq!(revision.catalog.as_deref(), Some(text.as_str()), "run `schema describe`");
    }
    assert!(live(&server).await.tables.is_empty(), "the named database was touched");
}

fn revision(up: &'static str, transactional: bool) -> Revision {
    Revision {
        id: "0001".into(),
        description: "".into(),
        up: up.into(),
        down: "".into(),
        transactional,
        compatible_from: None,
        catalog: None,
    }
}

#[apply(both!)]
async fn a_statement_that_fails_is_named_with_its_line(backend: Backend) {
    let database = backend.empty().await;
    let server = database.url().parse().unwrap();
    let up = "create table a (id integer);\n\ncreate table b (\n  id integer);\ncreate table a (id integer);";
    for transactional in [true, false] {
        let error = describe(&server, &[revision(up, transactional)]).await.unwrap_err();
        let DescribeError::Revision { source, .. } = error else { panic!("{error}") };
        assert_eq!((source.number, source.line), (3, 5));
        assert_eq!(source.to_string(), "statement 3, line 5 (create table a (id integer))");
    }
}

#[tokio::test]
async fn the_line_is_the_one_that_postgresql_points_at() {
    let database = Backend::Postgres.empty().await;
    let server = database.url().parse().unwrap();
    let up = "create table a (id integer);\nselect 'é',\n  nothing\nfrom a;";
    let error = describe(&server, &[revision(up, true)]).await.unwrap_err();
    let DescribeError::Revision { source, .. } = error else { panic!("{error}") };
    assert_eq!((source.number, source.line), (2, 3), "{source}");
}

#[tokio::test]
async fn what_no_transaction_can_hold_is_described() {
    let database = Backend::Postgres.empty().await;
    let server = database.url().parse().unwrap();
    let up = "create table a (id integer);\ncreate index concurrently ix_a on a (id);";
    let described = describe(&server, &[revision(up, false)]).await.unwrap();
    assert!(described[0].tables["a"].indexes["ix_a"].valid);
}

#[tokio::test]
async fn what_a_revision_sets_does_not_reach_the_next() {
    let database = Backend::Postgres.empty().await;
    let server = database.url().parse().unwrap();
    let first = revision("create schema other; set search_path = other; create table a ()", true);
    let second = Revision { id: "0002".into(), ..revision("create table b ()", true) };
    let described = describe(&server, &[first, second]).await.unwrap();
    let tables: Vec<_> = described.iter().map(|catalog| catalog.tables.len()).collect();
    assert_eq!(tables, [0, 1]);
}

#[test]
fn both_databases_expect_the_same_tables_and_columns() {
    let columns = |catalog: &Catalog| -> BTreeSet<(String, String, bool)> {
        let tables = catalog.tables.iter();
        tables
            .flat_map(|(table, has)| {
                has.columns.iter().map(|(name, is)| (table.clone(), name.clone(), is.not_null))
            })
            .collect()
    };
    let [postgres, sqlite] = Dialect::ALL.map(expected);
    assert_eq!(postgres.len(), sqlite.len());
    for (postgres, sqlite) in postgres.iter().zip(&sqlite) {
        assert_eq!(columns(postgres), columns(sqlite));
        assert!(columns(postgres).len() > 30);
    }
}
