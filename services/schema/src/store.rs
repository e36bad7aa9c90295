//! The bookkeeping: the tables that Schemagate keeps in the database, and every query on them.
//!
//! Diesel's table says which revisions are applied. The ledger says how they came to be applied:
//! every operation, and every step with the text that ran. Only the holder of the migration lock
//! creates or migrates the tables ([`layout`]); readers work also where tables are missing.

pub mod checkpoint;
pub mod dependents;
pub mod forced;
pub mod history;
pub mod kinds;
pub mod layout;
pub mod listing;
pub mod operations;
pub mod stamp;
pub mod steps;
pub mod tables;

pub use checkpoint::Checkpoint;
pub use dependents::BreakingChange;
pub use history::History;
pub use kinds::{OperationKind, Outcome, StepKind};
pub use layout::NewerLayout;
pub use operations::Operation;
