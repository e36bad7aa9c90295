//! Hostile input: a service answers every input, goes on serving and does not grow.
//!
//! The inputs are random with fixed seeds. `HOSTILE_ROUNDS` sets the number of rounds; each round
//! is another seed for every rpc.

mod any;
mod frames;
mod generate;
mod target;
mod unread;
