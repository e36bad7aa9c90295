//! The bus: wakes the readers of this process, and of other replicas, after a commit.
//!
//! A wake-up says only that there is something to read; the database holds the data. A lost wake-up
//! costs time, at most the interval at which each reader polls anyway.
//!
//! Within the process a wake-up arrives at once and blocks no one. With a NATS server configured, a
//! [`NatsLink`] exchanges wake-ups with the other replicas.

mod local;
mod nats;
mod url;

pub(crate) use local::{Bus, Topic, WakeUps};
pub(crate) use nats::NatsLink;
pub use url::BusUrl;
