//! SQL text as PostgreSQL and SQLite read it: tokens, statements, positions and identifiers. Every
//! function reads a text once, and needs no database.

mod depth;
mod dialect;
mod lines;
mod name;
mod statements;
#[cfg(test)]
mod test_text;
mod token;

pub use depth::syntax_depth;
pub use dialect::Dialect;
pub use lines::{LineIndex, line_of};
pub use name::{Name, quote};
pub use statements::{Statement, split};
pub use token::{Token, TokenKind, tokens};
