//! Rows as the wire has them.

use api::chat::v1::{self as wire, schedule::When};
use common::{
    convert::{timestamp, to_struct},
    database::types::Time,
};

use crate::{
    messages::cursor::cursor,
    models::{
        chat::{Chat, ChatType},
        message::Message,
        schedule::{Kind, Schedule},
    },
};

/// A row as the wire has it.
pub(super) fn chat(chat: Chat) -> wire::Chat {
    wire::Chat {
        r#type: chat_type(chat.chat_type).into(),
        id: chat.id,
        jid: chat.jid,
        name: chat.name.unwrap_or_default(),
        metadata: Some(to_struct(chat.metadata.0)),
        created_at: Some(timestamp(chat.created_at.utc())),
        updated_at: Some(timestamp(chat.updated_at.utc())),
        last_message_at: chat.last_message_at.map(Time::utc).map(timestamp),
    }
}

/// A row as the wire has it.
pub(super) fn message(message: &Message) -> wire::Message {
    wire::Message {
        id: message.id.clone(),
        chat_id: message.chat_id.clone(),
        sender: message.sender.clone(),
        body: message.body.clone(),
        reply_to: message.reply_to.clone().unwrap_or_default(),
        metadata: Some(to_struct(message.metadata.0.clone())),
        sent_at: Some(timestamp(message.sent_at.utc())),
        cursor: cursor(message.position),
    }
}

/// A row as the wire has it.
pub(super) fn schedule(schedule: Schedule) -> wire::Schedule {
    let when = match schedule.kind {
        Kind::Once => {
            Time::try_from(schedule.expression).ok().map(|at| When::Once(timestamp(at.utc())))
        }
        Kind::Cron => Some(When::Cron(schedule.expression)),
    };
    wire::Schedule {
        id: schedule.id,
        chat_id: schedule.chat_id,
        message: schedule.message,
        when,
        timezone: schedule.timezone,
        enabled: schedule.enabled,
        metadata: Some(to_struct(schedule.metadata.0)),
        next_run_at: schedule.next_run_at.map(Time::utc).map(timestamp),
        last_run_at: schedule.last_run_at.map(Time::utc).map(timestamp),
        created_at: Some(timestamp(schedule.created_at.utc())),
        updated_at: Some(timestamp(schedule.updated_at.utc())),
    }
}

fn chat_type(kind: Option<ChatType>) -> wire::ChatType {
    match kind {
        None => wire::ChatType::Unspecified,
        Some(ChatType::Private) => wire::ChatType::Private,
        Some(ChatType::Group) => wire::ChatType::Group,
        Some(ChatType::Channel) => wire::ChatType::Channel,
    }
}
