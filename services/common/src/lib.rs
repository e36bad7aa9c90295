//! What the schema service and the chat service both use, and nothing else: the database and its
//! URL, the server's life and who may call it, TLS, logs, metrics, pages and errors on the wire, the
//! commands that ask, and conversions of well-known types.

pub mod access;
pub mod cli;
mod connections;
pub mod convert;
pub mod database;
pub mod health;
mod methods;
pub mod metrics;
mod outbox;
pub mod page;
pub mod server;
pub mod status;
pub mod telemetry;
pub mod tls;
pub mod unread;
