//! Why a call fails does not depend on the language of PostgreSQL's messages.

use api::chat::v1::ChatType;
use testing::{Backend, TestDatabase, eventually, reason};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus::Serving;

use crate::fixture::{Fixture, chat};

/// Backends of the service's that wait for a lock.
const WAITING: &str = "select pid from pg_stat_activity where wait_event_type = 'Lock' \
                       and datname = current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_same_reasons_in_english() {
    let fixture = Fixture::on(speaking("C", "division by zero").await).await;
    assert_reasons(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_same_reasons_in_german() {
    let fixture = Fixture::on(speaking("de_DE.UTF-8", "Division durch Null").await).await;
    assert_reasons(&fixture).await;
}

/// A database at head whose connections get messages in a language.
async fn speaking(locale: &str, division_by_zero: &str) -> TestDatabase {
    let database = Backend::Postgres.at_head().await;
    let set = format!(
        "do $$ begin execute format('alter database %I set lc_messages = ''{locale}''', \
         current_database()); end $$"
    );
    database.execute(&set).await;
    let error = database.session().await.attempt("select 1 / 0").await.unwrap_err();
    assert!(
        error.starts_with(division_by_zero),
        "{error}: are PostgreSQL's translations installed, and the locale {locale}?"
    );
    database
}

async fn assert_reasons(fixture: &Fixture) {
    fixture.is(Serving).await;
    let list = async || fixture.page(0, "", ChatType::Unspecified).await.map(drop);

    // Nothing was listed yet: the statement waits for the lock while it is parsed.
    let mut holder = fixture.database.session().await;
    holder.execute("begin; lock table chats in access exclusive mode").await;
    assert_unavailable(&list().await.unwrap_err(), &["DATABASE_BUSY"]);
    for (end, expected) in
        [("pg_cancel_backend", "DATABASE_BUSY"), ("pg_terminate_backend", "DATABASE_UNAVAILABLE")]
    {
        let end = format!("with w(pid) as ({WAITING}) select {end}(pid) from w");
        let ended = eventually("a call waits", async || {
            (!fixture.database.column(&end).await.is_empty()).then_some(())
        });
        let (refused, ()) = tokio::join!(list(), ended);
        assert_unavailable(&refused.unwrap_err(), &[expected]);
    }
    holder.execute("commit").await;

    fixture.create(chat("a")).await.unwrap();
    let taken = fixture.create(chat("a")).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken).as_str()), (Code::AlreadyExists, "JID_TAKEN"));

    // The connection remembers what the columns were.
    list().await.unwrap();
    fixture.database.execute("alter table chats alter column name type varchar(300)").await;
    let mismatch = ["SCHEMA_CHANGED", "SCHEMA_MODEL_MISMATCH"];
    assert_unavailable(&list().await.unwrap_err(), &mismatch[..1]);
    eventually("the gate opens again", async || list().await.ok()).await;

    fixture.database.execute("alter table chats rename column name to title").await;
    assert_unavailable(&list().await.unwrap_err(), &mismatch);
    // The models' proof is refuted by the same class of error.
    eventually("the gate has looked", async || {
        let refused = list().await.unwrap_err();
        (reason(&refused) == "SCHEMA_MODEL_MISMATCH").then_some(())
    })
    .await;
}

fn assert_unavailable(refused: &Status, reasons: &[&str]) {
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(reasons.contains(&reason(refused).as_str()), "{refused:?}");
}
