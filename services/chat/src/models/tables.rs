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
    use database::types::{Instant, JsonDocument};
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
    use database::types::{Instant, JsonDocument};

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
    use database::types::{Instant, JsonDocument};
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

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use database::types::{Instant, JsonDocument};

    /// Who answers messages.
    bots (id) {
        /// A UUID, as text.
        id -> Text,
        /// What runs it.
        #[sql_name = "type"]
        kind -> Text,
        /// What people call it.
        name -> Text,
        /// What it does.
        description -> Nullable<Text>,
        /// A JSON object.
        config -> JsonDocument,
        /// Whether it is handed messages.
        enabled -> Bool,
        /// When it was made.
        created_at -> Instant,
        /// When somebody last changed it.
        updated_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Integer, Text};
    use database::types::{Instant, JsonDocument};

    /// The bots of each chat.
    chat_bots (id) {
        /// A UUID, as text.
        id -> Text,
        /// The chat. Unique with the bot.
        chat_id -> Text,
        /// The bot.
        bot_id -> Text,
        /// A JSON object, laid over the bot's config.
        config_override -> JsonDocument,
        /// Whether the bot is handed this chat's messages.
        enabled -> Bool,
        /// Lower sees a message earlier.
        priority -> Integer,
        /// When it was made.
        created_at -> Instant,
        /// When somebody last changed it.
        updated_at -> Instant,
        /// Only messages behind this position are for the bot.
        since_position -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer, Nullable, Text};
    use database::types::Instant;

    /// Messages on their way to a bot, until it has answered.
    bot_deliveries (position, bot_id) {
        /// The message's.
        position -> BigInt,
        /// The bot.
        bot_id -> Text,
        /// The message's chat.
        chat_id -> Text,
        /// The assignment's, when the message came.
        priority -> Integer,
        /// How often it was handed out.
        attempt -> Integer,
        /// How often that came to nothing.
        failures -> Integer,
        /// When it may be handed out.
        available_at -> Instant,
        /// When whoever has it in hand must have answered; null while nobody has.
        leased_until -> Nullable<Instant>,
        /// When it had failed too often.
        parked_at -> Nullable<Instant>,
        /// Why it failed last.
        last_error -> Nullable<Text>,
        /// When it was made.
        created_at -> Instant,
    }
}

diesel::table! {
    /// How far messages were looked at for bots: one row, or none before the first delivery.
    bot_cursor (id) {
        /// 1.
        id -> Integer,
        /// Every message up to here was.
        position -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use database::types::{Instant, JsonDocument};

    /// What was answered, and by whom.
    processed_messages (id) {
        /// A UUID, as text.
        id -> Text,
        /// The message. Unique with the bot.
        message_id -> Text,
        /// Its chat.
        chat_id -> Nullable<Text>,
        /// The bot that answered.
        bot_id -> Nullable<Text>,
        /// The message's body, where another program wrote this row.
        content -> Nullable<Text>,
        /// The answer, whole; null where there was nothing to say.
        response -> Nullable<Text>,
        /// A JSON object.
        metadata -> JsonDocument,
        /// When it was answered.
        processed_at -> Instant,
    }
}

diesel::allow_tables_to_appear_in_same_query!(bot_deliveries, bots, chat_bots, chats, messages);
