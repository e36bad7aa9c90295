use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lets one log line through in each interval, for events that a peer can cause at will.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    last_line: Mutex<Option<Instant>>,
}

impl LogThrottle {
    const MIN_INTERVAL: Duration = Duration::from_secs(1);

    /// Whether a line may be written now, in which case a new interval starts.
    pub(crate) fn admit(&self) -> bool {
        let mut last_line = self.last_line.lock();
        let is_due = last_line.is_none_or(|last| last.elapsed() >= Self::MIN_INTERVAL);
        if is_due {
            *last_line = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_an_interval() {
        let throttle = LogThrottle::default();
        assert!(throttle.admit());
        assert!(!throttle.admit());
        tokio::time::advance(LogThrottle::MIN_INTERVAL).await;
        assert!(throttle.admit());
    }
}
