//! Each built-in migration, on tables with rows in them: it leaves behind what its catalog.txt
//! says, up, down and up again.

use catalog::Catalog;
use testing::{Backend, TestDatabase, apply, both};

use crate::{
    catalogs::{dialect, expected, live, revisions},
    server::Server,
};

/// One row in every table of 0001, each with as many columns filled as there are.
const ROWS: &str = "
    insert into bots (id, type, name, description) values ('b', 'echo', 'Echo', 'says it again');
    insert into chats (id, jid, name, chat_type, created_at)
        values ('c', 'one@example', 'One', 'group', '2024-05-06 07:08:09.123456');
    insert into chat_bots (id, chat_id, bot_id, priority) values ('cb', 'c', 'b', 3);
    insert into processed_messages (id, message_id, chat_id, bot_id, content)
        values ('p', 'm', 'c', 'b', 'hello');
    insert into scheduled_messages (id, chat_id, message, schedule_type, schedule_expression)
        values ('s', 'c', 'good morning', 'cron', '0 8 * * *');";

/// What those rows hold and no migration may change.
async fn rows(database: &TestDatabase) -> Vec<Option<String>> {
    database
        .column(
            "select id || type || name || description from bots
             union all select id || jid || name || cast(chat_type as varchar(50)) from chats
             union all select id || chat_id || bot_id || priority from chat_bots
             union all select id || message_id || chat_id || content from processed_messages
             union all select id || message || cast(schedule_type as varchar(50)) || schedule_expression
                from scheduled_messages",
        )
        .await
}

#[apply(both!)]
async fn each_migration_leaves_its_catalog_and_every_row(backend: Backend) {
    let database = backend.empty().await;
    let server = Server::start(&database).await;
    let expected = expected(dialect(backend));
    let base = Catalog::empty(dialect(backend));
    server.upgrade("0001").await.unwrap();
    database.execute(ROWS).await;
    let filled = rows(&database).await;
    assert_eq!(filled.iter().flatten().count(), 5, "{filled:?}");
    for (at, revision) in revisions(dialect(backend)).iter().enumerate().skip(1) {
        server.upgrade(&revision.id).await.unwrap();
        assert_eq!(live(&database).await, expected[at], "up to {}", revision.id);
        assert_eq!(rows(&database).await, filled, "up to {}", revision.id);

        server.downgrade("-1").await.unwrap();
        assert_eq!(live(&database).await, expected[at - 1], "down from {}", revision.id);
        assert_eq!(rows(&database).await, filled, "down from {}", revision.id);

        server.upgrade(&revision.id).await.unwrap();
        assert_eq!(live(&database).await, expected[at], "up to {} again", revision.id);
    }
    server.downgrade("base").await.unwrap();
    assert_eq!(live(&database).await, base);
    server.upgrade("head").await.unwrap();
    assert_eq!(Some(&live(&database).await), expected.last());
}

#[apply(both!)]
async fn an_upgraded_database_equals_a_fresh_one(backend: Backend) {
    let [upgraded, fresh] = [backend.at("0001").await, backend.empty().await];
    upgraded.execute(ROWS).await;
    for database in [&upgraded, &fresh] {
        Server::start(database).await.upgrade("head").await.unwrap();
    }
    let fresh = live(&fresh).await;
    assert_eq!(live(&upgraded).await, fresh);
    assert!(fresh.tables.len() >= 5);
}
