use std::{future::Future, process::ExitCode};

/// Runs a program to its end, and no longer: a thread that is still busy ends with the process, and
/// a transaction that it holds open is rolled back by that.
pub fn run(program: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(program);
    runtime.shutdown_background();
    status
}
