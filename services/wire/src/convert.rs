//! Well-known types to and from Rust's: times and JSON.

use std::time::Duration;

use chrono::{DateTime, Utc};
use prost_types::{Struct, Timestamp, Value, value::Kind};
use serde_json::{Map, Number};

/// A time as the wire has it.
pub fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        // Below a second always, leap seconds aside, which chrono puts above it.
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(999_999_999),
    }
}

/// A time of the wire; none where it is outside the calendar.
pub fn time(timestamp: Timestamp) -> Option<DateTime<Utc>> {
    // chrono takes more for a leap second, which the wire does not know.
    DateTime::from_timestamp(timestamp.seconds, nanos(timestamp.nanos)?)
}

/// A length of time of the wire; none where it is not one. prost's own conversion panics at the
/// least of them.
pub fn duration(given: prost_types::Duration) -> Option<Duration> {
    Some(Duration::new(given.seconds.try_into().ok()?, nanos(given.nanos)?))
}

/// A part of a second; none where it is not one.
fn nanos(given: i32) -> Option<u32> {
    u32::try_from(given).ok().filter(|nanos| *nanos < 1_000_000_000)
}

/// A JSON object as the wire has it. Anything but an object is an empty one.
pub fn to_struct(value: serde_json::Value) -> Struct {
    match value {
        serde_json::Value::Object(map) => {
            Struct { fields: map.into_iter().map(|(key, value)| (key, to_value(value))).collect() }
        }
        _ => Struct::default(),
    }
}

fn to_value(value: serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(bool) => Kind::BoolValue(bool),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(values) => Kind::ListValue(prost_types::ListValue {
            values: values.into_iter().map(to_value).collect(),
        }),
        object @ serde_json::Value::Object(_) => Kind::StructValue(to_struct(object)),
    };
    Value { kind: Some(kind) }
}

/// A struct of the wire as JSON, or what cannot be kept: JSON has no NaN and no infinity, and no
/// database of ours keeps a NUL in a text.
///
/// # Errors
/// The path of the value that JSON cannot hold, and why.
pub fn from_struct(value: Struct) -> Result<serde_json::Value, Unkept> {
    object(value, DEEPEST)
}

/// Levels of objects and lists in each other. prost reads a hundred messages in each other, three
/// of them a level, and what is taken must still be read where an answer wraps it once more.
const DEEPEST: usize = 24;

fn object(value: Struct, deeper: usize) -> Result<serde_json::Value, Unkept> {
    let deeper = below(deeper)?;
    let mut map = Map::new();
    for (key, value) in value.fields {
        if key.contains('\0') {
            return Err(Unkept { path: key.replace('\0', "\\0"), why: "a NUL in a key" });
        }
        let value = from_value(value, deeper).map_err(|unkept| unkept.below(&key))?;
        map.insert(key, value);
    }
    Ok(map.into())
}

/// What of a struct cannot be kept as JSON.
#[derive(Debug, Eq, PartialEq)]
pub struct Unkept {
    /// The keys that lead to it, joined by dots.
    pub path: String,
    /// What it is.
    pub why: &'static str,
}

impl Unkept {
    fn below(self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.into() } else { format!("{key}.{}", self.path) };
        Self { path, ..self }
    }
}

fn below(deeper: usize) -> Result<usize, Unkept> {
    let why = "what lies deeper than 24 levels";
    deeper.checked_sub(1).ok_or(Unkept { path: String::new(), why })
}

fn from_value(value: Value, deeper: usize) -> Result<serde_json::Value, Unkept> {
    let here = |why| Unkept { path: String::new(), why };
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(bool)) => bool.into(),
        Some(Kind::NumberValue(number)) => {
            from_number(number).ok_or(here("not a finite number"))?.into()
        }
        Some(Kind::StringValue(text)) if text.contains('\0') => return Err(here("a NUL")),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::ListValue(list)) => {
            let deeper = below(deeper)?;
            let values = list.values.into_iter().map(|value| from_value(value, deeper));
            values.collect::<Result<Vec<_>, _>>()?.into()
        }
        Some(Kind::StructValue(value)) => object(value, deeper)?,
    })
}

/// Whole numbers are kept as such, as far as a double is exact: `1`, not `1.0`.
#[expect(clippy::cast_possible_truncation, reason = "checked: whole, and below 2^53")]
fn from_number(number: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        Some(Number::from(number as i64))
    } else {
        Number::from_f64(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_goes_round() {
        let json = serde_json::json!({"a": 1, "b": [true, null, "x", 1.5], "c": {"d": {}}});
        assert_eq!(from_struct(to_struct(json.clone())), Ok(json));
    }

    #[test]
    fn what_json_cannot_hold_is_named() {
        let inner = Struct {
            fields: [("nan".into(), Value { kind: Some(Kind::NumberValue(f64::NAN)) })].into(),
        };
        let outer = Struct {
            fields: [("a".into(), Value { kind: Some(Kind::StructValue(inner)) })].into(),
        };
        let unkept = from_struct(outer).unwrap_err();
        assert_eq!((unkept.path.as_str(), unkept.why), ("a.nan", "not a finite number"));
    }

    #[test]
    fn what_could_not_be_read_again_is_not_taken() {
        let nested = |levels| {
            let inner =
                (1..levels).fold(serde_json::json!({}), |inner, _| serde_json::json!({"a": inner}));
            to_struct(inner)
        };
        assert!(from_struct(nested(DEEPEST)).is_ok());
        let unkept = from_struct(nested(DEEPEST + 1)).unwrap_err();
        assert!(unkept.path.ends_with("a.a") && unkept.why.contains("24"), "{unkept:?}");
        assert!(from_struct(nested(1_000)).is_err());
        // As deep as it may be, and wrapped as often as any answer does it.
        let deepest = prost_types::Value { kind: Some(Kind::StructValue(nested(DEEPEST))) };
        let wrapped = Struct { fields: [("a".into(), deepest)].into() };
        let read: Result<Struct, _> =
            prost::Message::decode(&*prost::Message::encode_to_vec(&wrapped));
        assert_eq!(read.unwrap(), wrapped);
    }

    #[test]
    fn no_duration_panics() {
        for (seconds, nanos) in [(i64::MIN, i32::MIN), (-1, 0), (0, -1), (0, 1_000_000_000)] {
            assert_eq!(duration(prost_types::Duration { seconds, nanos }), None);
        }
        let longest = prost_types::Duration { seconds: i64::MAX, nanos: 999_999_999 };
        assert!(duration(longest).is_some());
    }

    #[test]
    fn times_go_round() {
        let time_ = DateTime::from_timestamp(-1, 5_000).unwrap();
        assert_eq!(time(timestamp(time_)), Some(time_));
        assert_eq!(time(Timestamp { seconds: i64::MAX, nanos: 0 }), None);
        assert_eq!(time(Timestamp { seconds: 0, nanos: -1 }), None);
    }

    /// JSON that is kept, and whatever else a `Struct` may hold.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(None),
            any::<bool>().prop_map(|bool| Some(Kind::BoolValue(bool))),
            any::<u64>().prop_map(|bits| Some(Kind::NumberValue(f64::from_bits(bits)))),
            any::<i32>().prop_map(|whole| Some(Kind::NumberValue(whole.into()))),
            ".*".prop_map(|text| Some(Kind::StringValue(text))),
        ];
        let nested = |inner: BoxedStrategy<Value>| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| { Kind::ListValue(prost_types::ListValue { values }) }),
                prop::collection::btree_map(".*", inner, 0..4)
                    .prop_map(|fields| Kind::StructValue(Struct { fields })),
            ]
        };
        leaf.prop_map(|kind| Value { kind }).prop_recursive(30, 60, 3, move |inner| {
            nested(inner.boxed()).prop_map(|kind| Value { kind: Some(kind) })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

        #[test]
        fn any_struct_is_kept_as_it_is_or_refused(value in any_value()) {
            let given = Struct { fields: [("a".into(), value)].into() };
            if let Ok(kept) = from_struct(given) {
                prop_assert!(!kept.to_string().contains("\\u0000"));
                prop_assert_eq!(from_struct(to_struct(kept.clone())), Ok(kept));
            }
        }

        #[test]
        fn any_time_is_kept_as_it_is_or_refused(
            seconds in prop_oneof![any::<i64>(), -100_000_000_000..300_000_000_000_i64], nanos: i32,
        ) {
            let given = Timestamp { seconds, nanos };
            if let Some(kept) = time(given) {
                prop_assert!(given.nanos < 1_000_000_000);
                prop_assert_eq!(timestamp(kept), given);
            }
        }

        #[test]
        fn any_duration_is_read_or_refused(seconds: i64, nanos: i32) {
            let read = duration(prost_types::Duration { seconds, nanos });
            prop_assert_eq!(read.is_some(), seconds >= 0 && (0..1_000_000_000).contains(&nanos));
        }
    }
}
