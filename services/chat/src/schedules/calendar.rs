//! When a schedule is due: once, or by five cron fields in a time zone.
//!
//! When a clock goes forward, a run at a fixed time within the gap is due at the first moment after
//! it. When a clock goes back, a run is due at the first of its two times only. Interval runs
//! (`*/5 * * * *`) follow absolute time. This is croner's rule, after Vixie cron.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron, Direction,
    parser::{CronParser, Seconds, Year},
};
use database::types::Time;

use crate::models::schedule::ScheduleKind;

const MAX_MISSED_COUNT: usize = 1_000;

/// The times at which a schedule is due.
#[derive(Clone, Debug)]
pub(crate) enum Calendar {
    Once(Time),
    /// Whenever the clock of the time zone matches.
    Cron(Box<Cron>, Tz),
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CalendarError {
    #[error("invalid time '{0}'")]
    Time(String),
    #[error("invalid cron fields '{0}': {1}; give five, such as \"30 9 * * 1-5\"")]
    Cron(String, String),
    #[error("cron fields '{0}' match no date")]
    NeverDue(String),
    #[error("unknown time zone '{0}'; give an IANA name, such as Europe/Berlin")]
    TimeZone(String),
}

/// The due run of a schedule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DueRun {
    /// The latest due time, which is sent.
    pub(crate) at: Time,
    /// Number of earlier due times that were not sent, up to [`MAX_MISSED_COUNT`].
    pub(crate) missed: usize,
    pub(crate) next: Option<Time>,
}

pub(crate) fn parse_time_zone(name: &str) -> Result<Tz, CalendarError> {
    Tz::from_str(name).map_err(|_| CalendarError::TimeZone(name.into()))
}

impl Calendar {
    /// Parses the columns of a schedule.
    pub(crate) fn parse(
        kind: ScheduleKind,
        expression: &str,
        time_zone: &str,
    ) -> Result<Self, CalendarError> {
        match kind {
            ScheduleKind::Once => Time::try_from(expression.to_owned())
                .map(Self::Once)
                .map_err(|_| CalendarError::Time(expression.into())),
            ScheduleKind::Cron => Self::parse_cron(expression, parse_time_zone(time_zone)?),
        }
    }

    /// Parses five cron fields that match some date.
    pub(crate) fn parse_cron(fields: &str, time_zone: Tz) -> Result<Self, CalendarError> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let invalid = |reason: String| CalendarError::Cron(fields.into(), reason);
        let count = fields.split_whitespace().count();
        if count != 5 {
            return Err(invalid(format!("found {count} fields")));
        }
        let cron = parser.parse(fields).map_err(|error| invalid(error.to_string()))?;
        let calendar = Self::Cron(Box::new(cron), time_zone);
        match calendar.next(Time::now()) {
            Some(_) => Ok(calendar),
            None => Err(CalendarError::NeverDue(fields.into())),
        }
    }

    /// The first due time after a moment.
    pub(crate) fn next(&self, after: Time) -> Option<Time> {
        match self {
            Self::Once(at) => Some(*at).filter(|at| *at > after),
            Self::Cron(cron, time_zone) => cron
                .find_next_occurrence(&after.utc().with_timezone(time_zone), false)
                .ok()
                .map(time),
        }
    }

    /// The due run at `now` of a schedule whose next run was `expected`.
    pub(crate) fn due(&self, expected: Time, now: Time) -> DueRun {
        let next = self.next(now);
        let Self::Cron(cron, time_zone) = self else {
            return DueRun { at: expected, missed: 0, next };
        };
        let now = now.utc().with_timezone(time_zone);
        let last = cron.find_previous_occurrence(&now, true).ok().map(time);
        // `expected` may not be a time of this calendar, if the calendar changed since.
        let at = last.map_or(expected, |last| last.max(expected));
        let since = expected.utc().with_timezone(time_zone);
        let missed = cron
            .iter_from(since, Direction::Forward)
            .take_while(|run| run.to_utc() < at.utc())
            .take(MAX_MISSED_COUNT)
            .count();
        DueRun { at, missed, next }
    }

    /// The `schedule_expression` of the row.
    pub(crate) fn expression(&self) -> String {
        match self {
            Self::Once(at) => at.utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            Self::Cron(cron, _) => cron.as_str().into(),
        }
    }

    pub(crate) const fn kind(&self) -> ScheduleKind {
        match self {
            Self::Once(_) => ScheduleKind::Once,
            Self::Cron(..) => ScheduleKind::Cron,
        }
    }
}

fn time(run: DateTime<Tz>) -> Time {
    run.with_timezone(&Utc).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Time {
        Time::try_from(text.to_owned()).unwrap()
    }

    fn cron(fields: &str, time_zone: &str) -> Calendar {
        Calendar::parse_cron(fields, parse_time_zone(time_zone).unwrap()).unwrap()
    }

    fn runs(calendar: &Calendar, after: &str, count: usize) -> Vec<String> {
        let runs = std::iter::successors(calendar.next(at(after)), |run| calendar.next(*run));
        runs.take(count).map(|run| run.utc().format("%m-%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn cron_fields_follow_the_clock_of_the_time_zone() {
        let daily = cron("30 9 * * *", "Europe/Berlin");
        // Summer time ends on 25 October 2026.
        assert_eq!(
            runs(&daily, "2026-10-24T00:00:00Z", 3),
            ["10-24T07:30", "10-25T08:30", "10-26T08:30"]
        );
    }

    #[test]
    fn a_time_in_the_gap_is_due_after_it() {
        // From 02:00 to 03:00 on 29 March 2026.
        let daily = cron("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            runs(&daily, "2026-03-28T00:00:00Z", 3),
            ["03-28T01:30", "03-29T01:00", "03-30T00:30"]
        );
    }

    #[test]
    fn a_repeated_time_is_due_once() {
        let daily = cron("30 2 * * *", "Europe/Berlin");
        assert_eq!(runs(&daily, "2026-10-24T12:00:00Z", 2), ["10-25T00:30", "10-26T01:30"]);
        let half_hours = cron("*/30 * * * *", "Europe/Berlin");
        assert_eq!(
            runs(&half_hours, "2026-10-25T00:10:00Z", 4),
            ["10-25T00:30", "10-25T01:00", "10-25T01:30", "10-25T02:00"]
        );
    }

    #[test]
    fn the_latest_due_time_is_sent_and_earlier_ones_are_counted() {
        let hourly = cron("0 * * * *", "UTC");
        let due = hourly.due(at("2026-01-01T00:00:00Z"), at("2026-01-01T05:10:00Z"));
        let expected = DueRun {
            at: at("2026-01-01T05:00:00Z"),
            missed: 5,
            next: Some(at("2026-01-01T06:00:00Z")),
        };
        assert_eq!(due, expected);
        let on_time = hourly.due(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:01Z"));
        assert_eq!((on_time.at, on_time.missed), (at("2026-01-01T00:00:00Z"), 0));
        let for_years = cron("* * * * *", "UTC");
        let due = for_years.due(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"));
        assert_eq!((due.at, due.missed), (at("2026-01-01T00:00:00Z"), MAX_MISSED_COUNT));
        let once = Calendar::Once(at("2026-01-01T00:00:00Z"));
        let due = once.due(at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
        assert_eq!((due.missed, due.next), (0, None));
    }

    #[test]
    fn invalid_cron_fields_are_refused() {
        for fields in ["", "* * * *", "0 0 0 * * *", "61 * * * *", "a b c d e", "@daily"] {
            let refused = Calendar::parse_cron(fields, Tz::UTC).unwrap_err();
            assert!(matches!(refused, CalendarError::Cron(..)), "{fields}: {refused:?}");
        }
        assert_eq!(
            Calendar::parse_cron("0 0 30 2 *", Tz::UTC).unwrap_err(),
            CalendarError::NeverDue("0 0 30 2 *".into())
        );
        assert!(parse_time_zone("Mars/Olympus").is_err());
    }

    /// Cron fields, valid and invalid.
    fn any_cron() -> impl Strategy<Value = String> {
        let field = "[0-9]{1,3}|\\*|\\*/[0-9]{1,9}|[0-9]{1,2}-[0-9]{1,2}(/[0-9]{1,2})?\
                     |[0-9,]{1,20}|[0-9LW#?A-Z*/,-]{1,8}|(SUN|mon|JAN|dec)(-(FRI|nov))?";
        prop_oneof![
            4 => prop::collection::vec(field, 5).prop_map(|fields| fields.join(" ")),
            1 => prop::collection::vec("[0-9]", 5).prop_map(|fields| fields.join(" ")),
            1 => ".*",
        ]
    }

    fn any_time() -> impl Strategy<Value = Time> {
        // From 1970 to 2200.
        (0..7_258_118_400_i64)
            .prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap().into())
    }

    proptest! {
        // Proptest's default number of cases: a search without a match takes long.
        #[test]
        fn any_cron_fields_are_computed_within_time_or_refused(
            fields in any_cron(),
            time_zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]),
            expected in any_time(),
            now in any_time(),
        ) {
            let started = std::time::Instant::now();
            if let Ok(calendar) = Calendar::parse_cron(&fields, time_zone) {
                prop_assert!(calendar.next(now).is_none_or(|next| next > now), "{}", fields);
                let due = calendar.due(expected, now);
                prop_assert!(due.missed <= MAX_MISSED_COUNT);
                let reparsed = Calendar::parse(ScheduleKind::Cron, &calendar.expression(), time_zone.name());
                prop_assert_eq!(reparsed.unwrap().next(now), calendar.next(now));
            }
            let elapsed = started.elapsed();
            prop_assert!(elapsed.as_secs() < 2, "{}: {:?}", fields, elapsed);
        }

        #[test]
        fn any_time_zone_is_parsed_or_refused(name in ".*") {
            let _ = parse_time_zone(&name);
        }
    }
}
