//! The tables as Rust, and every query on them.
//!
//! `Foo` is a row and `NewFoo` an insert; queries are functions on the model, take a connection
//! and return what Diesel returns. What an error means is decided by the caller.

pub mod chat;
pub mod import;
pub mod listing;
pub mod message;
mod row;
pub mod sending;
pub mod tables;

/// The oldest revision that this build can run on: every table and column is there. A Downgrade
/// below it is refused while a replica lives; the gate asks for the one that it was built with.
pub const REQUIRES: &str = "0004";

/// The newest revision that the build knew.
pub const BUILT_WITH: &str = env!("BUILT_WITH");
