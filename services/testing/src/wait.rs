//! Waiting for a condition instead of for a time.

use std::time::Duration;

/// How long anything in a test may take to come true. Far more than it needs: it only bounds a
/// test that fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(5);

/// Asks until there is an answer, and returns it.
///
/// # Panics
/// There is none within the [`DEADLINE`]; `what` says what was waited for.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(PACE).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked)
        .await
        .unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}
