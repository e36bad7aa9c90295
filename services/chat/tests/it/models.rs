//! The models and the revisions that they are for.

use chat::models::{self, BUILT_WITH, REQUIRES};
use database::Database;
use testing::{Backend, TestDatabase, apply, both};

#[apply(both!)]
async fn the_models_run_on_what_they_require_and_not_before(backend: Backend) {
    assert_eq!(answered(&backend.at(REQUIRES).await).await, Ok(()));
    let before = format!("{:04}", REQUIRES.parse::<u32>().unwrap() - 1);
    let refused = answered(&backend.at(&before).await).await.unwrap_err();
    assert!(refused.contains("since_position"), "{refused}");
}

/// Whatever column is gone, the gate's third proof asks for it.
#[apply(both!)]
async fn any_column_is_missed(backend: Backend) {
    let database = backend.at_head().await;
    let columns = |table: &str| match backend {
        Backend::Postgres => format!(
            "select attname from pg_attribute where attrelid = '{table}'::regclass \
             and attnum > 0 and not attisdropped"
        ),
        Backend::Sqlite => format!("select name from pragma_table_info('{table}')"),
    };
    assert_eq!(answered(&database).await, Ok(()));
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
            database.execute(&rename(&column, "gone")).await;
            let refused = answered(&database).await.unwrap_err();
            assert!(refused.contains(&column), "{column}: {refused}");
            database.execute(&rename("gone", &column)).await;
        }
    }
    assert_eq!(answered(&database).await, Ok(()));
}

#[test]
fn the_build_knows_the_newest_revision() {
    assert!(BUILT_WITH >= REQUIRES);
}

async fn answered(database: &TestDatabase) -> Result<(), String> {
    let database = Database::new(&database.url().parse().unwrap(), "test", 1);
    let mut connection = database.connection().await.unwrap();
    models::probe_columns(&mut connection).await.map_err(|error| error.to_string())
}
