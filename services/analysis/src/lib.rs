//! What the SQL of a plan does, from its text alone: what it removes, locks and rewrites, and what
//! squawk's linter finds. Everything that depends on the live database is for the caller to ask:
//! how many rows a [`PossibleLoss`] has there, how large an accessed table is.
//!
//! ```text
//! sql ─► parse ─► effects, table accesses ─► copies, names ─► Analysis
//! ```

mod analyze;
mod concurrent_index;
mod copies;
mod effect;
mod effects;
mod finding;
mod lint;
mod located;
mod lock_mode;
mod loss;
mod name_map;
mod parse;
mod possible_loss;
mod postgres_locks;
mod sqlite_access;
mod stack;
mod table_access;
mod type_change;

pub use analyze::{Analysis, Body, analyze};
pub use concurrent_index::{ConcurrentIndex, concurrent_index};
pub use effect::{CascadeRoot, DeletedRows};
pub use finding::{Finding, Rule, Severity};
pub use lint::lint;
pub use located::Located;
pub use lock_mode::LockMode;
pub use loss::{Loss, LossRule};
pub use parse::may_remove_data;
pub use possible_loss::PossibleLoss;
pub use stack::MAX_SYNTAX_DEPTH;
pub use table_access::{TableAccess, TableWork};
pub use type_change::{ColumnTypes, TypeChange};
