//! The whole path, with the real binaries, on both databases.
#![cfg(test)]

mod killed;
mod main_job;
mod one_command;
mod racing;

use std::{net::SocketAddr, path::Path};

use testing::{Process, TestDatabase};

/// A binary of this workspace, beside our own.
fn binary(name: &str) -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_stack")).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --bin {name}", path.display());
    path.display().to_string()
}

/// A schema service for a database.
fn schema(database: &TestDatabase) -> Process {
    Process::start(binary("schema"), &["serve"], &[("DATABASE_URL", database.url())])
}

/// A chat service for a database, behind a schema service.
fn chat(database: &TestDatabase, schema: SocketAddr) -> Process {
    let schema = format!("http://{schema}");
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_URL", &schema)];
    Process::start(binary("chat"), &["serve"], &env)
}
