//! A runtime beside the test's own, for what must go on while a test's thread waits.
//!
//! A database is dropped when a value is, and then a thread waits for it. Meanwhile PostgreSQL
//! itself waits for everybody who is about to log in. Were one of them a task on that very thread,
//! both would wait, and after a minute the server would hang up without a word.

use std::{future::Future, sync::LazyLock};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("fixtures").enable_all().build().expect("a runtime")
});

/// Runs a future on the fixtures' thread, whatever the test's own is doing.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    RUNTIME.spawn(future)
}
