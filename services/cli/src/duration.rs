use std::time::Duration;

/// A duration for people, in whole milliseconds: `12ms`, `1m 3s 400ms`.
pub fn rounded(duration: Duration) -> String {
    match u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) {
        0 => "<1ms".into(),
        millis => humantime::format_duration(Duration::from_millis(millis)).to_string(),
    }
}
