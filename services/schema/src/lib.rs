//! The schema service: one database's migrations behind an RPC.
//!
//! It holds the revisions, says where the schema stands, and moves it; everything else asks it.
//! [`serve`] is the service; `src/main.rs` is its command line.

pub mod access;
mod built_in;
pub mod catalog;
pub mod cli;
mod dependents;
mod engine;
mod error;
mod history;
mod inspector;
mod lease;
mod ledger;
mod metrics;
mod observer;
mod operations;
mod pages;
mod plan;
mod rpc;
mod serve;
mod state;

pub use serve::{Config, Error, STEP_GRACE, serve};
