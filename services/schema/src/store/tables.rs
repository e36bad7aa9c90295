//! The tables of the bookkeeping as Diesel sees them. `layout.rs` creates them.

use database::types::Instant;

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use super::Instant;

    /// One row per operation.
    schemagate_operations (id) {
        id -> Text,
        kind -> Text,
        outcome -> Text,
        from_revision -> Text,
        to_revision -> Text,
        actor -> Text,
        build -> Text,
        started_at -> Instant,
        finished_at -> Nullable<Instant>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use super::Instant;

    /// One row per step, in the order in which they were committed.
    schemagate_steps (id) {
        id -> BigInt,
        operation_id -> Text,
        revision -> Text,
        description -> Text,
        direction -> Text,
        checksum -> Text,
        up_sql -> Text,
        down_sql -> Text,
        transactional -> Bool,
        compatible_from -> Nullable<Text>,
        duration_us -> BigInt,
        committed_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{Integer, Text};

    /// One row per half-done step outside a transaction.
    schemagate_positions (revision) {
        revision -> Text,
        direction -> Text,
        done -> Integer,
        begun -> Integer,
        total -> Integer,
        done_checksum -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::Text;

    /// One row per dependent that an operation was forced past.
    schemagate_forced (operation_id, dependent) {
        operation_id -> Text,
        dependent -> Text,
    }
}

diesel::table! {
    /// Diesel's table of applied revisions.
    __diesel_schema_migrations (version) {
        version -> Text,
    }
}

diesel::table! {
    /// Alembic's table: one row with the current revision.
    alembic_version (version_num) {
        version_num -> Text,
    }
}
