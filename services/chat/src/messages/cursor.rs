//! Cursors: a message's position, as clients keep it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use wire::Problem;

/// The first byte of every cursor.
const VERSION: u8 = 1;

/// The cursor of the message at this position.
pub(crate) fn cursor(position: i64) -> String {
    let [a, b, c, d, e, f, g, h] = position.to_be_bytes();
    BASE64_URL_SAFE_NO_PAD.encode([VERSION, a, b, c, d, e, f, g, h])
}

/// The position of the message that a cursor is of.
pub(crate) fn position(field: &str, cursor: &str) -> Result<i64, Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    match bytes.split_first() {
        Some((&VERSION, position)) => position.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    }
    .ok_or_else(|| {
        let what = "not a cursor that this service gave: take one from a message";
        Problem::invalid(field, "CURSOR_INVALID", what)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_goes_round() {
        for at in [0, 1, i64::MAX] {
            assert_eq!(position("after", &cursor(at)).unwrap(), at);
        }
        for bad in ["x", "AAAAAAAAAAAB", "AQAA", "!"] {
            assert!(position("after", bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

        #[test]
        fn any_cursor_is_one_of_ours_or_refused(text in "[A-Za-z0-9_-]{0,14}|.*", at: i64) {
            if let Ok(read) = position("after", &text) {
                prop_assert_eq!(cursor(read), text);
            }
            prop_assert_eq!(position("after", &cursor(at)).unwrap(), at);
        }
    }
}
