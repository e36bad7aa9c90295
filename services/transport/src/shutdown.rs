use std::io;

use tokio_util::sync::CancellationToken;

/// Ends when the process is asked to end: SIGTERM, or ctrl-c.
///
/// # Errors
/// The signals cannot be listened for.
pub fn shutdown_signal() -> io::Result<CancellationToken> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let asked = CancellationToken::new();
    let token = asked.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: ending in good order"),
            _ = tokio::signal::ctrl_c() => tracing::info!("ctrl-c: ending in good order"),
        }
        token.cancel();
    });
    Ok(asked)
}
