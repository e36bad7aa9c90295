//! The models against the revisions that they require.

use chat::models::{self, BUILT_WITH, REQUIRES};
use database::Database;
use testing::{Backend, TestDatabase, apply, both};

#[apply(both!)]
async fn the_models_run_on_the_required_revision_and_not_on_older_ones(backend: Backend) {
    assert_eq!(probe(&backend.at(REQUIRES).await).await, Ok(()));
    let before = format!("{:04}", REQUIRES.parse::<u32>().unwrap() - 1);
    let refused = probe(&backend.at(&before).await).await.unwrap_err();
    assert!(refused.contains("since_position"), "{refused}");
}

/// The gate's proof of the models covers every column.
#[apply(both!)]
async fn any_missing_column_is_detected(backend: Backend) {
    let database = backend.at_head().await;
    let columns = |table: &str| match backend {
        Backend::Postgres => format!(
            "select attname from pg_attribute where attrelid = '{table}'::regclass \
             and attnum > 0 and not attisdropped"
        ),
        Backend::Sqlite => format!("select name from pragma_table_info('{table}')"),
    };
    assert_eq!(probe(&database).await, Ok(()));
    for (table, least) in [
        ("chats", 8),
        ("messages", 8),
        ("scheduled_messages", 8),
        ("bots", 8),
        ("chat_bots", 9),
        ("bot_deliveries", 11),
        ("bot_cursor", 2),
        ("processed_messages", 8),
    ] {
        let columns = database.column(&columns(table)).await;
        assert!(columns.len() >= least, "{columns:?}");
        for column in columns.into_iter().flatten() {
            let rename =
                |from: &str, to: &str| format!("alter table {table} rename column {from} to {to}");
            database.execute(&rename(&column, "renamed")).await;
            let refused = probe(&database).await.unwrap_err();
            assert!(refused.contains(&column), "{column}: {refused}");
            database.execute(&rename("renamed", &column)).await;
        }
    }
    assert_eq!(probe(&database).await, Ok(()));
}

#[test]
fn the_build_knows_the_required_revision() {
    assert!(BUILT_WITH >= REQUIRES);
}

async fn probe(database: &TestDatabase) -> Result<(), String> {
    let database = Database::new(&database.url().parse().unwrap(), "test", 1);
    let mut connection = database.connection().await.unwrap();
    models::probe_columns(&mut connection).await.map_err(|error| error.to_string())
}
