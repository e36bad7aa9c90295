//! The tables as of the newest revision, for both databases.

use diesel::{query_builder::QueryId, sql_types::SqlType};

/// `chat_type_enum` on PostgreSQL, text on SQLite.
#[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
#[diesel(postgres_type(name = "chat_type_enum"), sqlite_type(name = "Text"))]
pub struct ChatTypeEnum;

/// `schedule_type_enum` on PostgreSQL, text on SQLite.
#[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
#[diesel(postgres_type(name = "schedule_type_enum"), sqlite_type(name = "Text"))]
pub struct ScheduleTypeEnum;

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use database::types::{Instant, JsonDocument};
    use super::ChatTypeEnum;

    chats (id) {
        id -> Text,
        jid -> Text,
        name -> Nullable<Text>,
        chat_type -> Nullable<ChatTypeEnum>,
        metadata -> JsonDocument,
        created_at -> Instant,
        updated_at -> Instant,
        last_message_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use database::types::{Instant, JsonDocument};

    messages (position) {
        /// The number of the message in the order of commits (see `messages.rs`).
        position -> BigInt,
        id -> Text,
        chat_id -> Text,
        sender -> Text,
        body -> Text,
        /// The id of a message of the same chat.
        reply_to -> Nullable<Text>,
        metadata -> JsonDocument,
        sent_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use database::types::{Instant, JsonDocument};
    use super::ScheduleTypeEnum;

    scheduled_messages (id) {
        id -> Text,
        chat_id -> Text,
        message -> Text,
        schedule_type -> ScheduleTypeEnum,
        /// A time, or five cron fields.
        schedule_expression -> Text,
        timezone -> Text,
        /// The next due time; null if there is none.
        next_run_at -> Nullable<Instant>,
        last_run_at -> Nullable<Instant>,
        enabled -> Bool,
        metadata -> JsonDocument,
        created_at -> Instant,
        updated_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use database::types::{Instant, JsonDocument};

    bots (id) {
        id -> Text,
        #[sql_name = "type"]
        kind -> Text,
        name -> Text,
        description -> Nullable<Text>,
        config -> JsonDocument,
        enabled -> Bool,
        created_at -> Instant,
        updated_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Integer, Text};
    use database::types::{Instant, JsonDocument};

    chat_bots (id) {
        id -> Text,
        chat_id -> Text,
        bot_id -> Text,
        /// A JSON object whose keys replace those of the bot's config.
        config_override -> JsonDocument,
        enabled -> Bool,
        /// A bot with a lower number gets a message earlier.
        priority -> Integer,
        created_at -> Instant,
        updated_at -> Instant,
        /// Only messages after this position are delivered to the bot.
        since_position -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer, Nullable, Text};
    use database::types::Instant;

    bot_deliveries (position, bot_id) {
        position -> BigInt,
        bot_id -> Text,
        chat_id -> Text,
        /// The assignment's priority at fan-out.
        priority -> Integer,
        /// Number of leases so far; fences out answers to older ones.
        attempt -> Integer,
        /// Number of failed attempts.
        failures -> Integer,
        /// Not leased before this time.
        available_at -> Instant,
        /// End of the lease; null while it is not leased.
        leased_until -> Nullable<Instant>,
        /// Time of the failure that parked it; null while it is not parked.
        parked_at -> Nullable<Instant>,
        /// Error of the last failure.
        last_error -> Nullable<Text>,
        created_at -> Instant,
    }
}

diesel::table! {
    /// The cursor of the fan-out: one row, or none before the first delivery.
    bot_cursor (id) {
        /// Always 1.
        id -> Integer,
        /// Deliveries exist for every message up to this position.
        position -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use database::types::{Instant, JsonDocument};

    processed_messages (id) {
        id -> Text,
        message_id -> Text,
        chat_id -> Nullable<Text>,
        bot_id -> Nullable<Text>,
        /// The message's body, in rows that another program wrote.
        content -> Nullable<Text>,
        /// The reply; null for an answer without one.
        response -> Nullable<Text>,
        metadata -> JsonDocument,
        processed_at -> Instant,
    }
}

diesel::allow_tables_to_appear_in_same_query!(bot_deliveries, bots, chat_bots, chats, messages);
