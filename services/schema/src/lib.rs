//! The schema service: one database's migrations behind an RPC.
//!
//! It holds the revisions, says where the schema stands, and moves it; everything else asks it.
//! [`serve`] is the service; `src/main.rs` is its command line.

pub mod access;
pub mod cli;
mod dependents;
mod engine;
mod error;
mod history;
mod inspector;
mod lease;
mod ledger;
mod line;
mod metrics;
mod observer;
mod operations;
mod pages;
mod plan;
mod rpc;
mod serve;
mod state;
mod target;

pub use serve::{Config, Error, STEP_GRACE, serve};
