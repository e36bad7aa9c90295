//! The schema service through its public API, on both databases.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod access;
mod adopt;
mod bookkeeping;
mod catalogs;
mod cli;
mod contention;
mod current;
mod dependents;
mod downgrade;
mod ending;
mod losses;
mod metrics;
mod migrations;
mod outside;
mod plan;
mod postgres_tls;
mod repair;
mod server;
mod tls;
mod upgrade;
mod verify;
