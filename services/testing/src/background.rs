//! A runtime beside the test's own, for work that must go on while a test's thread blocks.
//!
//! `TestDatabase::drop` blocks its thread until the database is dropped. DROP DATABASE waits for connections that are
//! logging in. If such a login were a task on the blocked thread, both would wait until PostgreSQL closes the
//! connection after a minute.

use std::{future::Future, sync::LazyLock};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("fixtures").enable_all().build().expect("a runtime")
});

/// Runs a future on the fixtures' thread.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    RUNTIME.spawn(future)
}
