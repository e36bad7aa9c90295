//! Rows of the database as messages of the contract.

use ::wire::convert::{timestamp, to_struct};
use api::chat::v1::{self as wire, schedule::When};
use database::types::{Json, Time};
use serde_json::Value;

use crate::{
    bots::delivery_id,
    messages::cursor,
    models::{
        assignment::Assignment,
        bot::Bot,
        chat::{Chat, ChatType},
        delivery::{Delivery, LeasedDelivery},
        message::Message,
        schedule::{Schedule, ScheduleKind},
    },
};

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

pub(super) fn message(message: &Message) -> wire::Message {
    wire::Message {
        id: message.id.clone(),
        chat_id: message.chat_id.clone(),
        sender: message.sender.clone(),
        body: message.body.clone(),
        reply_to: message.reply_to.clone().unwrap_or_default(),
        metadata: Some(to_struct(message.metadata.0.clone())),
        sent_at: Some(timestamp(message.sent_at.utc())),
        cursor: cursor::encode(message.position),
    }
}

pub(super) fn schedule(schedule: Schedule) -> wire::Schedule {
    let when = match schedule.kind {
        ScheduleKind::Once => {
            Time::try_from(schedule.expression).ok().map(|at| When::Once(timestamp(at.utc())))
        }
        ScheduleKind::Cron => Some(When::Cron(schedule.expression)),
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

pub(super) fn bot(bot: Bot) -> wire::Bot {
    wire::Bot {
        id: bot.id,
        r#type: bot.kind,
        name: bot.name,
        description: bot.description.unwrap_or_default(),
        config: Some(to_struct(bot.config.0)),
        enabled: bot.enabled,
        created_at: Some(timestamp(bot.created_at.utc())),
        updated_at: Some(timestamp(bot.updated_at.utc())),
    }
}

pub(super) fn assignment(assignment: Assignment) -> wire::Assignment {
    wire::Assignment {
        chat_id: assignment.chat_id,
        bot_id: assignment.bot_id,
        config_override: Some(to_struct(assignment.config_override.0)),
        enabled: assignment.enabled,
        priority: assignment.priority,
        created_at: Some(timestamp(assignment.created_at.utc())),
    }
}

/// A leased delivery as its worker gets it.
pub(super) fn leased(leased: LeasedDelivery) -> wire::WorkResponse {
    wire::WorkResponse {
        delivery_id: delivery_id::encode(&leased.attempt()),
        attempt: count(leased.delivery.attempt),
        config: Some(to_struct(laid_over(&leased.bot.config, leased.config_override))),
        bot: Some(bot(leased.bot)),
        chat: Some(chat(leased.chat)),
        message: Some(message(&leased.message)),
    }
}

pub(super) fn parked((delivery, message_id): (Delivery, String)) -> wire::ParkedDelivery {
    wire::ParkedDelivery {
        message_id,
        bot_id: delivery.bot_id,
        chat_id: delivery.chat_id,
        attempts: count(delivery.attempt),
        failures: count(delivery.failures),
        last_error: delivery.last_error.unwrap_or_default(),
        created_at: Some(timestamp(delivery.created_at.utc())),
        parked_at: delivery.parked_at.map(Time::utc).map(timestamp),
    }
}

/// A config with another laid over it, key by key.
fn laid_over(config: &Json, over: Json) -> Value {
    let mut merged = config.0.as_object().cloned().unwrap_or_default();
    if let Value::Object(over) = over.0 {
        merged.extend(over);
    }
    merged.into()
}

fn count(number: i32) -> u32 {
    number.try_into().unwrap_or_default()
}

fn chat_type(kind: Option<ChatType>) -> wire::ChatType {
    match kind {
        None => wire::ChatType::Unspecified,
        Some(ChatType::Private) => wire::ChatType::Private,
        Some(ChatType::Group) => wire::ChatType::Group,
        Some(ChatType::Channel) => wire::ChatType::Channel,
    }
}
