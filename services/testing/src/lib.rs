//! Fixtures for the tests of every service.
//!
//! ```ignore
//! use testing::{Backend, apply, both};
//!
//! #[apply(both!)]
//! async fn current_reads_an_empty_database(backend: Backend) {
//!     let database = backend.empty().await;
//!     let schema = Process::start(SCHEMA, &["serve"], &[("DATABASE_URL", database.url())]);
//!     let state = current(schema.address("schema").await).await;
//!     assert_eq!(state.status(), Status::Empty);
//! }
//! ```
//!
//! [`eventually`] waits for a condition, up to a deadline.
#![expect(clippy::expect_used, clippy::panic, reason = "a fixture that fails ends the test")]

mod authority;
mod background;
mod callers;
mod clients;
mod database;
mod nats;
mod postgres;
mod postgres_url;
mod process;
mod refusal;
mod scrape;
mod session;
mod template;
mod wait;

pub use authority::{Authority, Identity};
pub use callers::{AccessFile, as_caller, call, call_with_token, token};
pub use clients::{channel, current, downgrade, health, secure_channel, upgrade};
pub use database::{Backend, TestDatabase};
pub use macro_rules_attribute::apply;
pub use nats::Nats;
pub use postgres::SecurePostgres;
pub use process::Process;
pub use refusal::{bad_fields, info, reason, retry_delay};
pub use scrape::Scrape;
pub use session::Session;
pub use template::revisions;
pub use wait::{DEADLINE, eventually};

/// Makes one test body two tests, `name::postgres` and `name::sqlite`:
/// `#[apply(both!)] async fn name(backend: Backend) { .. }`.
#[macro_export]
macro_rules! both {
    ($(#[$attribute:meta])* async fn $name:ident($backend:ident: $type:ty) $body:block) => {
        #[cfg(test)]
        async fn $name($backend: $type) $body

        #[cfg(test)]
        mod $name {
            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$name($crate::Backend::Postgres).await;
            }

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::Backend::Sqlite).await;
            }
        }
    };
}
