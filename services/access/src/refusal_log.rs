use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use wire::Problem;

use crate::Caller;

/// Logs refused calls, one line in an interval at most, however many there are.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_line: Option<Instant>,
    suppressed: u64,
}

impl RefusalLog {
    const MIN_INTERVAL: Duration = Duration::from_secs(1);

    pub(crate) fn record(
        &self,
        problem: &Problem,
        path: &str,
        caller: Option<&Caller>,
        from: Option<SocketAddr>,
    ) {
        let suppressed = {
            let mut state = self.state.lock();
            if state.last_line.is_some_and(|last| last.elapsed() < Self::MIN_INTERVAL) {
                state.suppressed += 1;
                return;
            }
            state.last_line = Some(Instant::now());
            std::mem::take(&mut state.suppressed)
        };
        let (caller, reason) = (caller.map(Caller::name), problem.reason().as_str());
        let from = from.map(tracing::field::display);
        tracing::info!(reason, path, caller, from, suppressed, "refused a call");
    }
}
