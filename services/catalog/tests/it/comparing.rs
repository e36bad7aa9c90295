//! How a live catalog differs from the one that is expected at head.

use catalog::{Drift, Grade, compare};
use testing::{Backend, apply, both};

use crate::{expected_at_head, live};

/// How a database differs after `sql` was run on it at head.
async fn drift_after(backend: Backend, sql: &str) -> Drift {
    let database = backend.at_head().await;
    database.execute(sql).await;
    compare(&expected_at_head(backend), &live(&database).await)
}

#[apply(both!)]
async fn what_a_service_fails_without_is_missing(backend: Backend) {
    for (sql, what) in [
        (
            "drop index ix_chats_listing; drop index ix_chats_listing_by_type; \
             alter table chats drop column last_message_at",
            "column chats.last_message_at is missing",
        ),
        ("drop table processed_messages", "table processed_messages is missing"),
        ("alter table chats rename column name to title", "column chats.name is missing"),
    ] {
        let drift = drift_after(backend, sql).await;
        assert_eq!(drift.lines(Grade::Missing), [what], "{sql}");
    }
}

#[tokio::test]
async fn what_only_postgresql_can_change_is_missing() {
    for (sql, what) in [
        (
            "alter table chats alter name type text",
            "column chats.name is text, expected varchar(255)",
        ),
        (
            "alter table chats alter name set not null",
            "column chats.name is not null, expected nullable",
        ),
        (
            "alter table chats alter jid drop not null",
            "column chats.jid is nullable, expected not null",
        ),
        ("alter table chats drop constraint chats_jid_key", "unique (jid) on chats is missing"),
        (
            "alter table processed_messages drop constraint uq_processed_message_bot",
            "unique (message_id, bot_id) on processed_messages is missing",
        ),
        (
            "alter type chat_type_enum rename value 'group' to 'GROUP'",
            "label 'group' of type chat_type_enum is missing",
        ),
    ] {
        let drift = drift_after(Backend::Postgres, sql).await;
        assert_eq!(drift.lines(Grade::Missing), [what], "{sql}");
        assert_eq!(drift.lines(Grade::Degraded), [""; 0], "{sql}");
    }
}

#[apply(both!)]
async fn what_a_service_runs_without_is_degraded(backend: Backend) {
    for (sql, what) in [
        ("drop index ix_bots_type", "index ix_bots_type on bots is missing"),
        (
            "drop index ix_bots_type; create index ix_bots_type on bots (type, name)",
            "index ix_bots_type on bots is (type, name), expected (type)",
        ),
        // The constraint beside it still refuses duplicates.
        ("drop index ix_chats_jid", "index ix_chats_jid on chats is missing"),
    ] {
        let drift = drift_after(backend, sql).await;
        assert_eq!(drift.lines(Grade::Degraded), [what], "{sql}");
        assert_eq!(drift.lines(Grade::Missing), [""; 0], "{sql}");
    }
}

#[tokio::test]
async fn keys_checks_and_defaults_are_degraded() {
    for (sql, what) in [
        (
            "alter table bots alter enabled drop default",
            "column bots.enabled has no default, expected default true",
        ),
        (
            "alter table bots alter enabled set default false",
            "column bots.enabled has default false, expected default true",
        ),
        (
            "alter table chat_bots drop constraint chat_bots_bot_id_fkey",
            "foreign key (bot_id) references bots(id) on delete cascade on chat_bots is missing",
        ),
        (
            "alter table chat_bots drop constraint chat_bots_bot_id_fkey; alter table chat_bots add \
             foreign key (bot_id) references bots(id) on delete cascade not valid",
            "foreign key (bot_id) references bots(id) on delete cascade on chat_bots is not validated",
        ),
    ] {
        let drift = drift_after(Backend::Postgres, sql).await;
        assert_eq!(drift.lines(Grade::Degraded), [what], "{sql}");
        assert_eq!(drift.lines(Grade::Missing), [""; 0], "{sql}");
    }
}

#[tokio::test]
async fn an_index_whose_build_failed_is_invalid() {
    let database = Backend::Postgres.at_head().await;
    // What a failed CREATE INDEX CONCURRENTLY leaves behind.
    database
        .execute(
            "update pg_index set indisvalid = false where indexrelid = 'ix_bots_type'::regclass",
        )
        .await;
    let drift = compare(&expected_at_head(Backend::Postgres), &live(&database).await);
    assert_eq!(drift.lines(Grade::Degraded), ["index ix_bots_type on bots is INVALID"]);
    assert_eq!(drift.lines(Grade::Missing), [""; 0]);
}

#[apply(both!)]
async fn what_an_administrator_adds_is_extra_and_harmless(backend: Backend) {
    let drift = drift_after(
        backend,
        "create index ix_dba on chats (name); create table audit (id integer not null); \
         alter table chats add column note text; \
         alter table chats add column seen integer not null default 0; \
         create view chat_names as select name from chats",
    )
    .await;
    let extra = [
        "table audit",
        "column chats.note",
        "column chats.seen",
        "index ix_dba on chats",
        "view chat_names",
    ];
    assert_eq!(sorted(drift.lines(Grade::Extra)), sorted(extra.map(String::from).into()));
    assert_eq!(drift.0.len(), extra.len(), "{drift:?}");
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[tokio::test]
async fn a_required_column_that_is_not_expected_is_missing() {
    let drift =
        drift_after(Backend::Postgres, "alter table chats add column tenant text not null").await;
    let what = "column chats.tenant is not expected, and not null without a default: inserts that \
                do not name it fail";
    assert_eq!(drift.lines(Grade::Missing), [what]);
}
