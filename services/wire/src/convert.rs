//! Conversions of protobuf's well-known types: times, durations and JSON.

use std::time::Duration;

use chrono::{DateTime, Utc};
use prost_types::{Struct, Timestamp, Value, value::Kind};
use serde_json::{Map, Number};

/// A time as protobuf's `Timestamp`.
pub fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        // chrono counts a leap second as nanoseconds above a second.
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(999_999_999),
    }
}

/// The time of a `Timestamp`; `None` where it is outside chrono's calendar.
pub fn time(timestamp: Timestamp) -> Option<DateTime<Utc>> {
    // chrono would read a second and more as a leap second, which a `Timestamp` cannot hold.
    DateTime::from_timestamp(timestamp.seconds, nanos(timestamp.nanos)?)
}

/// The length of a `Duration`; `None` where it is negative or not normalized. prost's own conversion
/// panics at `i64::MIN`.
pub fn duration(given: prost_types::Duration) -> Option<Duration> {
    Some(Duration::new(given.seconds.try_into().ok()?, nanos(given.nanos)?))
}

fn nanos(given: i32) -> Option<u32> {
    u32::try_from(given).ok().filter(|nanos| *nanos < 1_000_000_000)
}

/// A JSON object as protobuf's `Struct`. A value that is not an object becomes an empty `Struct`.
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

/// A `Struct` as a JSON object that both databases can store.
///
/// # Errors
/// A value cannot be stored: JSON has neither NaN nor infinity, PostgreSQL no NUL in a text, and the
/// depth is limited.
pub fn from_struct(value: Struct) -> Result<serde_json::Value, UnstorableValue> {
    object(value, MAX_DEPTH)
}

/// The most levels of nested objects and lists. prost decodes a hundred nested messages, three of
/// which make a level; what is stored must still decode within a response.
const MAX_DEPTH: usize = 24;

fn object(value: Struct, deeper: usize) -> Result<serde_json::Value, UnstorableValue> {
    let deeper = below(deeper)?;
    let mut map = Map::new();
    for (key, value) in value.fields {
        if key.contains('\0') {
            return Err(UnstorableValue { path: key.replace('\0', "\\0"), why: "a NUL in a key" });
        }
        let value = from_value(value, deeper).map_err(|unstorable| unstorable.below(&key))?;
        map.insert(key, value);
    }
    Ok(map.into())
}

/// A value of a `Struct` that cannot be stored as JSON.
#[derive(Debug, Eq, PartialEq)]
pub struct UnstorableValue {
    /// The keys that lead to it, joined by dots.
    pub path: String,
    /// What the value is.
    pub why: &'static str,
}

impl UnstorableValue {
    fn below(self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.into() } else { format!("{key}.{}", self.path) };
        Self { path, ..self }
    }
}

fn below(deeper: usize) -> Result<usize, UnstorableValue> {
    let why = "a value nested deeper than 24 levels";
    deeper.checked_sub(1).ok_or(UnstorableValue { path: String::new(), why })
}

fn from_value(value: Value, deeper: usize) -> Result<serde_json::Value, UnstorableValue> {
    let here = |why| UnstorableValue { path: String::new(), why };
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

/// Whole numbers stay whole, `1` rather than `1.0`, up to 2^53, where a double stops being exact.
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
    fn json_round_trips() {
        let json = serde_json::json!({"a": 1, "b": [true, null, "x", 1.5], "c": {"d": {}}});
        assert_eq!(from_struct(to_struct(json.clone())), Ok(json));
    }

    #[test]
    fn a_value_that_json_lacks_is_named_by_its_path() {
        let inner = Struct {
            fields: [("nan".into(), Value { kind: Some(Kind::NumberValue(f64::NAN)) })].into(),
        };
        let outer = Struct {
            fields: [("a".into(), Value { kind: Some(Kind::StructValue(inner)) })].into(),
        };
        let unstorable = from_struct(outer).unwrap_err();
        assert_eq!((unstorable.path.as_str(), unstorable.why), ("a.nan", "not a finite number"));
    }

    #[test]
    fn a_struct_too_deep_to_decode_in_a_response_is_refused() {
        let nested = |levels| {
            let inner =
                (1..levels).fold(serde_json::json!({}), |inner, _| serde_json::json!({"a": inner}));
            to_struct(inner)
        };
        assert!(from_struct(nested(MAX_DEPTH)).is_ok());
        let unstorable = from_struct(nested(MAX_DEPTH + 1)).unwrap_err();
        assert!(
            unstorable.path.ends_with("a.a") && unstorable.why.contains("24"),
            "{unstorable:?}"
        );
        assert!(from_struct(nested(1_000)).is_err());
        // At the limit, and nested in as many messages as any response does.
        let deepest = prost_types::Value { kind: Some(Kind::StructValue(nested(MAX_DEPTH))) };
        let wrapped = Struct { fields: [("a".into(), deepest)].into() };
        let read: Result<Struct, _> =
            prost::Message::decode(&*prost::Message::encode_to_vec(&wrapped));
        assert_eq!(read.unwrap(), wrapped);
    }

    #[test]
    fn durations_outside_the_range_are_refused() {
        for (seconds, nanos) in [(i64::MIN, i32::MIN), (-1, 0), (0, -1), (0, 1_000_000_000)] {
            assert_eq!(duration(prost_types::Duration { seconds, nanos }), None);
        }
        let longest = prost_types::Duration { seconds: i64::MAX, nanos: 999_999_999 };
        assert!(duration(longest).is_some());
    }

    #[test]
    fn times_round_trip() {
        let time_ = DateTime::from_timestamp(-1, 5_000).unwrap();
        assert_eq!(time(timestamp(time_)), Some(time_));
        assert_eq!(time(Timestamp { seconds: i64::MAX, nanos: 0 }), None);
        assert_eq!(time(Timestamp { seconds: 0, nanos: -1 }), None);
    }

    /// Values that JSON holds, and others that a `Struct` may hold.
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
        fn any_struct_round_trips_or_is_refused(value in any_value()) {
            let given = Struct { fields: [("a".into(), value)].into() };
            if let Ok(kept) = from_struct(given) {
                prop_assert!(!kept.to_string().contains("\\u0000"));
                prop_assert_eq!(from_struct(to_struct(kept.clone())), Ok(kept));
            }
        }

        #[test]
        fn any_time_round_trips_or_is_refused(
            seconds in prop_oneof![any::<i64>(), -100_000_000_000..300_000_000_000_i64], nanos: i32,
        ) {
            let given = Timestamp { seconds, nanos };
            if let Some(kept) = time(given) {
                prop_assert!(given.nanos < 1_000_000_000);
                prop_assert_eq!(timestamp(kept), given);
            }
        }

        #[test]
        fn any_duration_is_converted_or_refused(seconds: i64, nanos: i32) {
            let read = duration(prost_types::Duration { seconds, nanos });
            prop_assert_eq!(read.is_some(), seconds >= 0 && (0..1_000_000_000).contains(&nanos));
        }
    }
}
