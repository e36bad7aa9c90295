//! Revisions: what a migrations directory holds, the rules that it must keep, and the order in
//! which its revisions are applied and reverted. No database is needed for any of it.
//!
//! The build script of the schema service reads `migrations/` through [`read_both`], so that a
//! directory that breaks a rule does not compile; a running service reads `--migrations-dir`
//! through [`read`]. Diesel's own embedding hides the SQL, which plans, checksums and the ledger
//! need.

mod create;
mod direction;
mod folder;
mod revision;
mod revision_set;
mod rules;
mod target;

pub use create::create;
pub use direction::Direction;
pub use folder::{CATALOG_FILE, Error, Metadata, read, read_both};
pub use revision::Revision;
pub use revision_set::RevisionSet;
pub use target::{Target, TargetError};
