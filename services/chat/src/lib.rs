//! The chat service: `chat.v1` on one database, behind a gate that is closed while the schema is not
//! one that this build can run on.
//!
//! [`serve`] runs the service; `src/main.rs` is the `chat` binary.

pub mod access;
mod bots;
mod bus;
#[expect(missing_docs, reason = "the help text of a flag documents it")]
pub mod cli;
mod error;
mod limits;
mod messages;
pub mod models;
mod rpc;
mod schedules;
mod serve;
mod store;
mod validate;

pub use bus::BusUrl;
pub use limits::Limits;
pub use serve::{Config, Error, serve};
