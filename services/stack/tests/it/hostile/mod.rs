//! Hostile input: whatever a service is sent, it answers, goes on, and grows by little.
//!
//! The inputs are random and the same each time. `HOSTILE_ROUNDS` makes them more: each round is
//! another seed for every rpc.

mod any;
mod frames;
mod generate;
mod target;
mod unread;
