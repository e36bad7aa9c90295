use std::{future::Future, process::ExitCode};

/// Runs a program on a runtime of its own. It does not wait for blocking threads that are still busy
/// when the program ends: they end with the process, and their open transactions are rolled back.
pub fn run(program: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let status = runtime.block_on(program);
    runtime.shutdown_background();
    status
}
