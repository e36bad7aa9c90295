//! The binaries of this workspace, started for a database.

use std::{net::SocketAddr, path::Path};

use testing::{Process, TestDatabase};

/// A schema service for a database.
pub fn schema(database: &TestDatabase) -> Process {
    Process::start(binary("schema"), &["serve"], &[("DATABASE_URL", database.url())])
}

/// A chat service for a database, behind a schema service.
pub fn chat(database: &TestDatabase, schema: SocketAddr) -> Process {
    let schema = format!("http://{schema}");
    let env = [("DATABASE_URL", database.url()), ("SCHEMA_URL", &schema)];
    Process::start(binary("chat"), &["serve"], &env)
}

/// A binary of this workspace, beside our own.
pub fn binary(name: &str) -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_stack")).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --bin {name}", path.display());
    path.display().to_string()
}
