//! How far a step outside a transaction has come.

use diesel::prelude::*;
use serde::Deserialize;

use super::{kinds::StepKind, tables::schemagate_positions};

/// The recorded position of a half-done step.
#[derive(
    AsChangeset, Clone, Debug, Deserialize, Eq, Insertable, PartialEq, Queryable, Selectable,
)]
#[diesel(table_name = schemagate_positions)]
pub struct Checkpoint {
    pub revision: String,
    /// Up or down.
    pub direction: StepKind,
    /// How many statements are committed.
    pub done: i32,
    /// The number of the statement that began outside a transaction and may have ended, from 1;
    /// otherwise 0.
    pub begun: i32,
    pub total: i32,
    /// SHA-256 of the committed statements: their text must not change any more.
    pub done_checksum: String,
}

impl Checkpoint {
    pub const COLUMNS: &[&str] =
        &["revision", "direction", "done", "begun", "total", "done_checksum"];
}
