//! `schema verify` and `schema stamp`: the live catalog, on the command line.

use testing::{Backend, apply, both};

use super::{CliFixture, json};

#[apply(both!)]
async fn verify_prints_differences_and_exits_with_3(backend: Backend) {
    let cli = CliFixture::serving(backend.at_head().await, None).await;
    let whole = cli.run("verify").await;
    assert_eq!((whole.status, whole.stdout.as_str()), (0, ""));
    assert!(whole.stderr.contains("everything that its revision creates"), "{}", whole.stderr);

    cli.database.execute("create table of_a_dba (n integer)").await;
    assert_eq!(cli.print("verify").await, "extra: table of_a_dba\n");

    cli.database.execute("drop index ix_bots_type").await;
    let lacks = cli.run("verify").await;
    assert_eq!(lacks.status, 3);
    assert_eq!(
        lacks.stdout,
        "degraded: index ix_bots_type on bots is missing\nextra: table of_a_dba\n"
    );

    cli.database.execute("drop table processed_messages").await;
    let lacks = cli.run("verify --json").await;
    let drift = &json(&lacks.stdout)[0];
    assert_eq!(lacks.status, 3);
    assert_eq!(drift["missing"], serde_json::json!(["table processed_messages is missing"]));
    assert!(cli.run("current").await.stdout.ends_with(" (head) (drifted)\n"));
}

#[apply(both!)]
async fn a_database_without_a_history_is_adopted(backend: Backend) {
    let database = backend.at("0001").await;
    database.execute("drop table __diesel_schema_migrations").await;
    let cli = CliFixture::serving(database, None).await;
    let unmanaged = cli.run("current").await;
    assert_eq!((unmanaged.status, unmanaged.stdout.as_str()), (0, ""));
    assert!(unmanaged.stderr.contains("\"schema stamp 0001\" to adopt it"), "{}", unmanaged.stderr);

    let refused = cli.run("upgrade").await;
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("schema stamp REVISION"), "{}", refused.stderr);
    let refused = cli.run("stamp 0002 --json").await;
    assert_eq!(json(&refused.stderr)[0]["error"]["reason"], "CATALOG_DIFFERS");

    assert_eq!(cli.print("stamp 0001").await, "0001\n");
    assert!(cli.print("log").await.contains(" stamp base -> 0001  succeeded"));
    assert_eq!(cli.print("stamp 0002 --force").await, "0002\n");
    assert!(cli.print("stamp base").await.starts_with("base"));
}
