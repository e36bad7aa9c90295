//! The schema service: one database's migrations behind an RPC.
//!
//! It holds the revisions, reports the state of the schema, and moves it; every other service asks it.
//! [`serve`] is the service. The command line belongs to the binary (`src/main.rs`, `src/cli.rs`) and
//! reaches only what is public here, so it cannot bypass the service.
//!
//! The modules, each of which uses only those before it: `store` (the bookkeeping), `engine` (the
//! migration lock and the step under it), `state`, `observer`, `plan`, `operations`, `rpc`.

pub mod access;
mod built_in;
pub mod display;
mod engine;
mod metrics;
mod observer;
mod operations;
mod plan;
mod rpc;
mod serve;
mod state;
mod store;

pub use serve::{Config, Error, STEP_GRACE, serve};
