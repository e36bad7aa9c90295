use chrono::{DateTime, Utc};

/// A time for people: RFC 3339, whole seconds, UTC, such as `2026-11-24T15:30:52Z`. Every log line,
/// message and command prints times this way; programs get the whole value on the wire.
pub fn format_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people_have_whole_seconds_in_utc() {
        let time: DateTime<Utc> = "2026-11-24T16:30:52.987654+01:00".parse().unwrap();
        assert_eq!(format_time(time), "2026-11-24T15:30:52Z");
    }
}
