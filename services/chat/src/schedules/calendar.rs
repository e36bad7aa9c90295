//! When a schedule is due: once, or by five cron fields in a time zone.
//!
//! Where a clock goes forward, a run at a fixed time that is left out comes at the first moment
//! behind the gap; where it goes back, it comes the first time only. Runs by intervals
//! (`*/5 * * * *`) follow the absolute time. That is croner's rule, after Vixie cron's.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron, Direction,
    parser::{CronParser, Seconds, Year},
};
use database::types::Time;

use crate::models::schedule::Kind;

/// Runs that are counted as missed, at most.
const COUNTED: usize = 1_000;

/// When a schedule is due.
#[derive(Clone, Debug)]
pub(crate) enum Calendar {
    /// At one moment.
    Once(Time),
    /// Whenever the clock of a zone shows it.
    Cron(Box<Cron>, Tz),
}

/// Why a calendar cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Not a point in time.
    #[error("'{0}' is no time")]
    Time(String),
    /// Not five cron fields.
    #[error("'{0}' is not five cron fields, such as \"30 9 * * 1-5\": {1}")]
    Cron(String, String),
    /// They never come.
    #[error("'{0}' never comes")]
    Never(String),
    /// No zone of the IANA's.
    #[error("'{0}' is no time zone of the IANA's, such as Europe/Berlin")]
    Zone(String),
}

/// What is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Due {
    /// The run that is to be sent: the last one that came.
    pub(crate) at: Time,
    /// How many came before it since the schedule last stood at one.
    pub(crate) missed: usize,
    /// The first one still to come.
    pub(crate) next: Option<Time>,
}

/// A zone by its name.
pub(crate) fn zone(name: &str) -> Result<Tz, Unreadable> {
    Tz::from_str(name).map_err(|_| Unreadable::Zone(name.into()))
}

impl Calendar {
    /// As a row has it.
    pub(crate) fn read(kind: Kind, expression: &str, zone_name: &str) -> Result<Self, Unreadable> {
        match kind {
            Kind::Once => Time::try_from(expression.to_owned())
                .map(Self::Once)
                .map_err(|_| Unreadable::Time(expression.into())),
            Kind::Cron => Self::cron(expression, zone(zone_name)?),
        }
    }

    /// Five cron fields that come some day.
    pub(crate) fn cron(fields: &str, zone: Tz) -> Result<Self, Unreadable> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let refused = |why: String| Unreadable::Cron(fields.into(), why);
        if fields.split_whitespace().count() != 5 {
            return Err(refused("there must be five of them".into()));
        }
        let cron = parser.parse(fields).map_err(|error| refused(error.to_string()))?;
        let calendar = Self::Cron(Box::new(cron), zone);
        match calendar.next(Time::now()) {
            Some(_) => Ok(calendar),
            None => Err(Unreadable::Never(fields.into())),
        }
    }

    /// The first run after a moment.
    pub(crate) fn next(&self, after: Time) -> Option<Time> {
        match self {
            Self::Once(at) => Some(*at).filter(|at| *at > after),
            Self::Cron(cron, zone) => {
                cron.find_next_occurrence(&after.utc().with_timezone(zone), false).ok().map(time)
            }
        }
    }

    /// What is due, where the schedule stands at `stood` and it is `now`.
    pub(crate) fn due(&self, stood: Time, now: Time) -> Due {
        let next = self.next(now);
        let Self::Cron(cron, zone) = self else { return Due { at: stood, missed: 0, next } };
        let now = now.utc().with_timezone(zone);
        let last = cron.find_previous_occurrence(&now, true).ok().map(time);
        // Where it stands may be no time of its calendar: that was another one then.
        let at = last.map_or(stood, |last| last.max(stood));
        let since = stood.utc().with_timezone(zone);
        let missed = cron
            .iter_from(since, Direction::Forward)
            .take_while(|run| run.to_utc() < at.utc())
            .take(COUNTED)
            .count();
        Due { at, missed, next }
    }

    /// How a row keeps it.
    pub(crate) fn expression(&self) -> String {
        match self {
            Self::Once(at) => at.utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
            Self::Cron(cron, _) => cron.as_str().into(),
        }
    }

    /// Which kind it is.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Once(_) => Kind::Once,
            Self::Cron(..) => Kind::Cron,
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

    fn cron(fields: &str, zone_name: &str) -> Calendar {
        Calendar::cron(fields, zone(zone_name).unwrap()).unwrap()
    }

    fn runs(calendar: &Calendar, after: &str, count: usize) -> Vec<String> {
        let runs = std::iter::successors(calendar.next(at(after)), |run| calendar.next(*run));
        runs.take(count).map(|run| run.utc().format("%m-%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn the_clock_of_the_zone_counts() {
        let daily = cron("30 9 * * *", "Europe/Berlin");
        // Summer time ends on 25 October 2026.
        assert_eq!(
            runs(&daily, "2026-10-24T00:00:00Z", 3),
            ["10-24T07:30", "10-25T08:30", "10-26T08:30"]
        );
    }

    #[test]
    fn a_time_that_is_left_out_comes_behind_the_gap() {
        // From 02:00 to 03:00 on 29 March 2026.
        let daily = cron("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            runs(&daily, "2026-03-28T00:00:00Z", 3),
            ["03-28T01:30", "03-29T01:00", "03-30T00:30"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        let daily = cron("30 2 * * *", "Europe/Berlin");
        assert_eq!(runs(&daily, "2026-10-24T12:00:00Z", 2), ["10-25T00:30", "10-26T01:30"]);
        let half_hours = cron("*/30 * * * *", "Europe/Berlin");
        assert_eq!(
            runs(&half_hours, "2026-10-25T00:10:00Z", 4),
            ["10-25T00:30", "10-25T01:00", "10-25T01:30", "10-25T02:00"]
        );
    }

    #[test]
    fn who_slept_sends_the_last_run_and_counts_the_others() {
        let hourly = cron("0 * * * *", "UTC");
        let due = hourly.due(at("2026-01-01T00:00:00Z"), at("2026-01-01T05:10:00Z"));
        let expected = Due {
            at: at("2026-01-01T05:00:00Z"),
            missed: 5,
            next: Some(at("2026-01-01T06:00:00Z")),
        };
        assert_eq!(due, expected);
        let on_time = hourly.due(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:01Z"));
        assert_eq!((on_time.at, on_time.missed), (at("2026-01-01T00:00:00Z"), 0));
        let for_years = cron("* * * * *", "UTC");
        let due = for_years.due(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z"));
        assert_eq!((due.at, due.missed), (at("2026-01-01T00:00:00Z"), COUNTED));
        let once = Calendar::Once(at("2026-01-01T00:00:00Z"));
        let due = once.due(at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"));
        assert_eq!((due.missed, due.next), (0, None));
    }

    #[test]
    fn what_is_no_calendar_is_refused() {
        for fields in ["", "* * * *", "0 0 0 * * *", "61 * * * *", "a b c d e", "@daily"] {
            let refused = Calendar::cron(fields, Tz::UTC).unwrap_err();
            assert!(matches!(refused, Unreadable::Cron(..)), "{fields}: {refused:?}");
        }
        assert_eq!(
            Calendar::cron("0 0 30 2 *", Tz::UTC).unwrap_err(),
            Unreadable::Never("0 0 30 2 *".into())
        );
        assert!(zone("Mars/Olympus").is_err());
    }

    /// What cron's grammar is made of, and what it is not.
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
        // As many as proptest has it: what never comes is looked for to the end of the calendar.
        #[test]
        fn any_cron_comes_in_time_or_is_refused(
            fields in any_cron(),
            zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]),
            stood in any_time(),
            now in any_time(),
        ) {
            let begun = std::time::Instant::now();
            if let Ok(calendar) = Calendar::cron(&fields, zone) {
                prop_assert!(calendar.next(now).is_none_or(|next| next > now), "{}", fields);
                let due = calendar.due(stood, now);
                prop_assert!(due.missed <= COUNTED);
                let again = Calendar::read(Kind::Cron, &calendar.expression(), zone.name());
                prop_assert_eq!(again.unwrap().next(now), calendar.next(now));
            }
            let took = begun.elapsed();
            prop_assert!(took.as_secs() < 2, "{}: {:?}", fields, took);
        }

        #[test]
        fn any_zone_is_read_or_refused(name in ".*") {
            let _ = zone(&name);
        }
    }
}
