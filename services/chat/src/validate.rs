//! Checks of request fields. Every refusal names the field by its path.

use api::Reason;
use database::types::{Json, Time};
use prost_types::{FieldMask, Struct, Timestamp};
use wire::{Problem, convert};

use uuid::Uuid;

use crate::models::chat::ChatType;

/// A field that must be set.
pub fn required<T>(field: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| missing(field))
}

/// A text that must not be empty, of at most `max_chars` characters, without a NUL.
pub fn text(field: &str, value: String, max_chars: usize) -> Result<String, Problem> {
    optional_text(field, value, max_chars)?.ok_or_else(|| missing(field))
}

/// A text of at most `max_chars` characters, without a NUL; none if it is empty.
pub fn optional_text(
    field: &str,
    value: String,
    max_chars: usize,
) -> Result<Option<String>, Problem> {
    if value.contains('\0') {
        return Err(Problem::invalid(field, Reason::FieldHoldsNul, "contains a NUL character"));
    }
    // A text has at most as many characters as bytes, so that few texts are counted.
    if value.len() > max_chars && value.chars().count() > max_chars {
        let what = format!("longer than {max_chars} characters");
        return Err(Problem::invalid(field, Reason::FieldTooLong, what));
    }
    Ok((!value.is_empty()).then_some(value))
}

pub const MAX_ID_CHARS: usize = 255;

/// An id in a request.
pub fn id(field: &str, value: String) -> Result<String, Problem> {
    text(field, value, MAX_ID_CHARS)
}

/// A UUID in any of its spellings; none if it is empty.
pub fn uuid(field: &str, value: String) -> Result<Option<Uuid>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let what = "not a UUID, such as 01890a5d-ac96-774b-bcce-b302099a8057";
    value.parse().map(Some).map_err(|_| Problem::invalid(field, Reason::UuidInvalid, what))
}

/// A text of at most `max_bytes` bytes, without a NUL.
pub fn body(field: &str, value: String, max_bytes: usize) -> Result<String, Problem> {
    if value.len() > max_bytes {
        let what = format!("longer than {max_bytes} bytes");
        return Err(Problem::invalid(field, Reason::FieldTooLong, what));
    }
    if value.contains('\0') {
        return Err(Problem::invalid(field, Reason::FieldHoldsNul, "contains a NUL character"));
    }
    Ok(value)
}

/// A chat type; none if it is unspecified.
pub fn chat_type(field: &str, value: i32) -> Result<Option<ChatType>, Problem> {
    use api::chat::v1::ChatType as Wire;
    match Wire::try_from(value) {
        Ok(Wire::Unspecified) => Ok(None),
        Ok(Wire::Private) => Ok(Some(ChatType::Private)),
        Ok(Wire::Group) => Ok(Some(ChatType::Group)),
        Ok(Wire::Channel) => Ok(Some(ChatType::Channel)),
        Err(_) => {
            let what = format!("unknown chat type {value}: give private, group or channel");
            Err(Problem::invalid(field, Reason::ChatTypeUnknown, what))
        }
    }
}

/// A JSON object; an empty one if it is unset.
pub fn metadata(field: &str, value: Option<Struct>) -> Result<Json, Problem> {
    convert::from_struct(value.unwrap_or_default()).map(Json).map_err(|unkept| {
        let path = format!("{field}.{}", unkept.path);
        Problem::invalid(&path, Reason::JsonUnkept, format!("{} cannot be kept", unkept.why))
    })
}

/// A time that both databases can store; none if it is unset.
pub fn time(field: &str, value: Option<Timestamp>) -> Result<Option<Time>, Problem> {
    let Some(value) = value else { return Ok(None) };
    match convert::time(value).filter(|time| TIMESTAMP_SECONDS.contains(&time.timestamp())) {
        Some(time) => Ok(Some(time.into())),
        None => Err(Problem::invalid(field, Reason::TimeInvalid, "outside the years 1 to 9999")),
    }
}

/// The seconds of a `Timestamp`: the years 1 to 9999, whose texts have one width.
const TIMESTAMP_SECONDS: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

/// Which of `fields` an update sets: all of them if the mask is empty.
pub fn mask<const N: usize>(
    mask: Option<FieldMask>,
    fields: [&str; N],
) -> Result<[bool; N], Problem> {
    let paths = mask.unwrap_or_default().paths;
    if let Some(path) = paths.iter().find(|path| !fields.contains(&path.as_str())) {
        let what = format!("'{path}' cannot be updated: {} can", fields.join(", "));
        return Err(Problem::invalid("update_mask", Reason::UpdateMaskUnknownPath, what));
    }
    Ok(fields.map(|field| paths.is_empty() || paths.iter().any(|path| path == field)))
}

fn missing(field: &str) -> Problem {
    Problem::invalid(field, Reason::FieldRequired, "required")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

        #[test]
        fn any_text_is_accepted_or_refused(value in ".*|\\PC*\0\\PC*|(😀){0,40}", most in 0_usize..60) {
            let fits = !value.contains('\0') && value.chars().count() <= most;
            match optional_text("a.b", value.clone(), most) {
                Ok(kept) => {
                    prop_assert!(fits);
                    prop_assert_eq!(kept.unwrap_or_default(), value);
                }
                Err(problem) => {
                    prop_assert!(!fits);
                    prop_assert_eq!(problem.info("field"), Some("a.b"));
                }
            }
        }

        #[test]
        fn any_uuid_is_read_or_refused(value in "[0-9a-fA-F{}:urn-]{0,50}|.*") {
            if let Ok(Some(id)) = uuid("id", value) {
                prop_assert_eq!(uuid("id", id.to_string()).unwrap(), Some(id));
            }
        }

        #[test]
        fn any_mask_names_fields_or_is_refused(paths: Vec<String>, known: bool) {
            let mut paths = paths;
            if known {
                paths = vec!["name".into(); paths.len()];
            }
            let known = paths.iter().all(|path| path == "name" || path == "jid");
            let read = mask(Some(FieldMask { paths: paths.clone() }), ["name", "jid"]);
            prop_assert_eq!(read.is_ok(), known);
        }

        #[test]
        fn any_time_is_in_the_calendar_or_refused(seconds: i64, nanos: i32) {
            let kept = time("at", Some(Timestamp { seconds, nanos }));
            prop_assert!(kept.is_err() || TIMESTAMP_SECONDS.contains(&seconds));
        }
    }
}
