//! The catalog of a database: its tables, columns, constraints and indexes, as data that can be
//! written down, read back and compared.
//!
//! - [`Catalog::read`] reads a live database, on PostgreSQL and SQLite.
//! - [`Catalog::parse`] and its [`Display`](std::fmt::Display) are the text of `catalog.txt`, which
//!   stands beside each migration.
//! - [`compare`] lists how a live catalog differs from an expected one.
//! - [`ExpectedCatalogs`] holds what each revision leaves behind, and finds the revisions that a
//!   database without a history could be at.
//! - [`describe`] runs revisions on a scratch database, to write their `catalog.txt`.
//!
//! What differs between two databases without an effect on anybody is not part of a catalog: the
//! names of constraints and the order of columns. Neither are the bookkeeping tables, ours and
//! those of other migration tools.

mod compare;
mod describe;
mod difference;
mod expected;
mod model;
mod read;
mod spelling;
mod text;
mod values;

pub use compare::compare;
pub use describe::{DescribeError, StatementError, describe, file_text, write_files};
pub use difference::{Deviation, Difference, Drift, Grade, Object, list};
pub use expected::{Candidate, ExpectedCatalogError, ExpectedCatalogs, nearest};
pub use model::{Catalog, Column, Index, Table};
pub use read::dialect;
pub use text::ParseError;
pub use values::text_in_boolean_columns;
