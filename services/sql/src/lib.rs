//! SQL text as PostgreSQL and SQLite read it: its statements, their positions, and identifiers.
//! No database is needed for any of it.

mod dialect;
mod name;
pub mod statements;

pub use dialect::Dialect;
pub use name::{Name, quote};
