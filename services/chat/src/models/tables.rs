//! The tables as the newest revision leaves them, for both databases.

use diesel::{query_builder::QueryId, sql_types::SqlType};

/// The kind of a chat: `chat_type_enum` on PostgreSQL, text on SQLite.
#[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
#[diesel(postgres_type(name = "chat_type_enum"), sqlite_type(name = "Text"))]
pub struct ChatTypeEnum;

/// The kind of a schedule: `schedule_type_enum` on PostgreSQL, text on SQLite.
#[derive(Clone, Copy, Debug, Default, QueryId, SqlType)]
#[diesel(postgres_type(name = "schedule_type_enum"), sqlite_type(name = "Text"))]
pub struct ScheduleTypeEnum;

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use common::database::types::{Instant, JsonDocument};
    use super::ChatTypeEnum;

    /// The conversations.
    chats (id) {
        /// UUIDv7, as text.
        id -> Text,
        /// Its address in the messenger. Unique.
        jid -> Text,
        /// What people call it.
        name -> Nullable<Text>,
        /// Null where nobody said.
        chat_type -> Nullable<ChatTypeEnum>,
        /// A JSON object.
        metadata -> JsonDocument,
        /// When it was made.
        created_at -> Instant,
        /// When its name, type or metadata was last set.
        updated_at -> Instant,
        /// When its newest message was sent; null before the first.
        last_message_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use common::database::types::{Instant, JsonDocument};

    /// What was said, in the order in which it was stored.
    messages (position) {
        /// Where it stands among all messages: who sees one sees every one before it.
        position -> BigInt,
        /// A UUID, as text. Unique.
        id -> Text,
        /// Its chat.
        chat_id -> Text,
        /// A jid, or a bot's id.
        sender -> Text,
        /// What was said.
        body -> Text,
        /// The message that it answers, in the same chat.
        reply_to -> Nullable<Text>,
        /// A JSON object.
        metadata -> JsonDocument,
        /// When the server took it.
        sent_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use common::database::types::{Instant, JsonDocument};
    use super::ScheduleTypeEnum;

    /// What is to be said when its time comes.
    scheduled_messages (id) {
        /// A UUID, as text.
        id -> Text,
        /// The chat that it is said in.
        chat_id -> Text,
        /// What is said.
        message -> Text,
        /// Once, or by cron.
        schedule_type -> ScheduleTypeEnum,
        /// A time, or five cron fields.
        schedule_expression -> Text,
        /// The zone whose clock counts.
        timezone -> Text,
        /// The run that it stands at; null where none is to come.
        next_run_at -> Nullable<Instant>,
        /// When it was last sent.
        last_run_at -> Nullable<Instant>,
        /// Whether it is to be sent.
        enabled -> Bool,
        /// A JSON object.
        metadata -> JsonDocument,
        /// When it was made.
        created_at -> Instant,
        /// When somebody last changed it.
        updated_at -> Instant,
    }
}

diesel::allow_tables_to_appear_in_same_query!(chats, messages);
