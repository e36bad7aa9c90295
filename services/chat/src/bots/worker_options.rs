//! What a worker asks for with its first request.

use std::time::Duration;

use api::Reason;
use api::chat::v1::work_request::Attend;
use wire::{Problem, convert::duration};

use super::MAX_TYPE_LENGTH;
use crate::validate;

/// Deliveries that one worker may hold.
const MAX_CONCURRENCY: usize = 256;
const DEFAULT_LEASE: Duration = Duration::from_secs(30);
const MIN_LEASE: Duration = Duration::from_secs(1);
const MAX_LEASE: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct WorkerOptions {
    pub(super) bot_type: String,
    /// Deliveries that the worker holds at a time.
    pub(super) concurrency: usize,
    pub(super) lease: Duration,
}

impl TryFrom<Attend> for WorkerOptions {
    type Error = Problem;

    fn try_from(attend: Attend) -> Result<Self, Problem> {
        let bot_type = validate::text("attend.type", attend.r#type, MAX_TYPE_LENGTH)?;
        let concurrency = usize::try_from(attend.concurrency).unwrap_or(usize::MAX).max(1);
        if concurrency > MAX_CONCURRENCY {
            let text = format!("more than {MAX_CONCURRENCY}; open several streams instead");
            return Err(Problem::invalid("attend.concurrency", Reason::ConcurrencyTooHigh, text));
        }
        let lease = match attend.lease {
            None => DEFAULT_LEASE,
            Some(lease) => duration(lease)
                .filter(|lease| (MIN_LEASE..=MAX_LEASE).contains(lease))
                .ok_or_else(|| {
                    let text = "outside the range from one second to one hour";
                    Problem::invalid("attend.lease", Reason::LeaseOutOfRange, text)
                })?,
        };
        Ok(Self { bot_type, concurrency, lease })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(attend: Attend) -> Result<WorkerOptions, Problem> {
        WorkerOptions::try_from(attend)
    }

    #[test]
    fn defaults_apply_and_bounds_hold() {
        let attend = Attend { r#type: "echo".into(), ..Attend::default() };
        let defaults =
            WorkerOptions { bot_type: "echo".into(), concurrency: 1, lease: DEFAULT_LEASE };
        assert_eq!(options(attend.clone()).unwrap(), defaults);
        let lease = |seconds, nanos| Attend {
            lease: Some(prost_types::Duration { seconds, nanos }),
            ..attend.clone()
        };
        assert!(options(lease(3_600, 0)).is_ok());
        for bad in [lease(0, 999_999_999), lease(3_600, 1), lease(-1, 0), lease(i64::MIN, -5)] {
            assert!(options(bad).unwrap_err().message().starts_with("attend.lease"));
        }
        let many = Attend { concurrency: 257, ..attend };
        assert!(options(many).unwrap_err().message().starts_with("attend.concurrency"));
    }
}
