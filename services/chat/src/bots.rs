//! Bots: delivers each message of a chat to each bot assigned to it, and takes one answer.
//!
//! # Why no message is skipped, and none is answered twice
//!
//! *Fan-out.* A transaction that sees a position sees every smaller one (see `messages.rs`), so one
//! cursor for all messages suffices: [`fanout`] reads after it, makes a delivery for each message and
//! bot, and moves it, in one transaction. It runs beside sending and never delays it.
//!
//! *Leasing.* A delivery belongs to one worker at a time, by a lease on the database's clock. Each
//! lease increments the delivery's attempt, and an answer counts only for the attempt that it
//! names: the answer of a worker whose lease expired has no effect once another worker has the
//! delivery. So a message reaches a bot at least once and is answered at most once: one transaction
//! deletes the delivery, keeps the answer and stores the reply, and only if the delivery exists.
//!
//! *Failures.* An error, an expired lease and a closed stream each count as one failure; after an
//! error or a closed stream the next attempt is delayed, longer each time. A delivery that failed
//! too often is parked until `RetryDelivery`. Deliveries that the server itself releases, because it
//! shuts down or its gate closes, count no failure.
//!
//! As in the feed, wake-ups only say when to read: a lost one costs one poll interval.

mod answer;
pub(crate) mod delivery_id;
pub(crate) mod dispatcher;
pub(crate) mod fanout;
pub(crate) mod worker;
mod worker_options;

/// Length of a bot's type, in characters.
pub(crate) const MAX_TYPE_LENGTH: usize = 100;
