//! The gRPC services. `chat_service`, `schedule_service` and `bot_service` list the methods; the
//! four steps of each (validate, convert, call, reply) are a function of the method's name in the
//! module of its resource.

mod assignments;
mod bot_service;
mod bots;
mod chat_service;
mod chats;
mod convert;
mod deliveries;
mod encoded_response;
mod import;
mod list;
mod messages;
mod schedule_service;
mod schedules;
mod single_flight;

pub(crate) use bot_service::BotRpcs;
pub(crate) use chat_service::ChatRpcs;
pub(crate) use encoded_response::replace_body;
pub(crate) use schedule_service::ScheduleRpcs;
