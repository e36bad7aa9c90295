//! How the databases execute the queries of ListChats: along an index, without a sort.

use std::sync::{Arc, Mutex};

use chat::models::{
    chat::ChatType,
    chat_page::{self, ChatKey},
};
use chrono::DateTime;
use database::{Database, DatabaseUrl, types::Time, with_conn};
use diesel::{QueryableByName, connection::InstrumentationEvent, sql_types::Text};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use testing::{Backend, TestDatabase, apply, both};
use tokio_postgres::SimpleQueryMessage;

const TIME: &str = "'2024-01-01T00:00:05Z'";

#[apply(both!)]
async fn a_page_is_read_along_an_index_without_a_sort(backend: Backend) {
    let database = backend.at_head().await;
    fill(&database, backend).await;
    for of in [None, Some(ChatType::Group)] {
        let index = if of.is_some() { "ix_chats_listing_by_type" } else { "ix_chats_listing" };
        for (after, keys) in [
            (None, vec![]),
            (Some(Some(5)), vec![TIME, TIME, "'x'"]),
            (Some(None), vec![TIME, "'x'"]),
        ] {
            for sql in queries(&database, of, after).await {
                let mut values: Vec<&str> = of.iter().map(|_| "'group'").collect();
                values.extend(keys.iter().filter(|_| sql.contains(") < (")));
                // A generic plan, and one for these values.
                for cache in ["force_generic_plan", "force_custom_plan"] {
                    let plan = plan(&database, &sql, &values, cache).await;
                    assert!(plan.contains(index), "{sql}\n{plan}");
                    for slow in ["Sort", "Seq Scan", "Bitmap", "TEMP B-TREE", "SCAN"] {
                        assert!(!plan.contains(slow), "{slow}: {sql}\n{plan}");
                    }
                }
            }
        }
    }
}

async fn fill(database: &TestDatabase, backend: Backend) {
    let numbers = match backend {
        Backend::Postgres => "select n from generate_series(1, 20000) n",
        Backend::Sqlite => {
            "with recursive s(n) as (select 1 union all select n + 1 from s where n < 20000) \
             select n from s"
        }
    };
    let kind = match backend {
        Backend::Postgres => "'group'::chat_type_enum",
        Backend::Sqlite => "'group'",
    };
    // Many equal times, which would make a sort cheap for the planner.
    let rows = |last: &str, shift: u32| {
        format!(
            "insert into chats (id, jid, chat_type, last_message_at) \
             select 'id' || (n + {shift}), 'jid' || (n + {shift}), \
             case when n % 2 = 0 then {kind} end, {last} from ({numbers}) s"
        )
    };
    database.execute(&rows("'2024-01-01 00:00:00.000000'", 0)).await;
    database.execute(&rows("null", 20_000)).await;
    database.execute("analyze chats").await;
}

/// The SQL of the queries for one page.
async fn queries(
    database: &TestDatabase,
    of: Option<ChatType>,
    after: Option<Option<i64>>,
) -> Vec<String> {
    let pool = Database::new(&database.url().parse().unwrap(), "test", 1);
    let mut connection = pool.connection().await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let note = move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            let sql = text.split(" -- binds").next().unwrap_or_default().to_owned();
            into.lock().unwrap().push(sql);
        }
    };
    with_conn!(&mut connection, c => c.set_instrumentation(note));
    let time = |seconds| Time::from(DateTime::from_timestamp(seconds, 0).unwrap());
    let place = after.map(|last| ChatKey {
        last_message_at: last.map(time),
        created_at: time(5),
        id: "x".into(),
    });
    chat_page::read(&mut connection, of, place.as_ref(), 51).await.unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.retain(|sql| sql.contains("ORDER BY"));
    assert!(!seen.is_empty());
    seen
}

async fn plan(database: &TestDatabase, sql: &str, values: &[&str], cache: &str) -> String {
    match database.url().parse().unwrap() {
        DatabaseUrl::Postgres(server) => {
            let (client, connection) = server.connect().await.unwrap();
            tokio::spawn(connection);
            let given = match values {
                [] => String::new(),
                values => format!("({})", values.join(", ")),
            };
            let explain = format!(
                "set plan_cache_mode = {cache}; prepare page as {sql}; \
                 explain (costs off) execute page {given}"
            );
            let lines = client.simple_query(&explain).await.unwrap();
            let text = |line: &SimpleQueryMessage| match line {
                SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
                _ => None,
            };
            lines.iter().filter_map(text).collect::<Vec<_>>().join("\n")
        }
        DatabaseUrl::Sqlite { .. } => {
            let pool = Database::new(&database.url().parse().unwrap(), "test", 1);
            let mut connection = pool.connection().await.unwrap();
            let explain = format!("explain query plan {sql}");
            let steps: Vec<Step> =
                with_conn!(&mut connection, c => diesel::sql_query(&explain).load(c).await)
                    .unwrap();
            steps.into_iter().map(|step| step.detail).collect::<Vec<_>>().join("\n")
        }
    }
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}
