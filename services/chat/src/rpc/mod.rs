//! The gRPC services. A method is a line in its service's table here; its four steps (validate,
//! convert, call, reply) stand in a function of the same name in the module of its kind.

mod assignments;
mod bot_service;
mod bots;
mod chats;
mod convert;
mod deliveries;
mod import;
mod made;
mod messages;
mod schedules;
mod service;
mod together;

pub use bot_service::Bots;
pub(crate) use made::in_place;
pub use service::{Chats, Schedules};
