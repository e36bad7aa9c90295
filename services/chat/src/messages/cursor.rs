//! Cursors: the position of a message as an opaque text for clients.

use api::Reason;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use wire::Problem;

/// The first byte of a cursor.
const VERSION: u8 = 1;

pub(crate) fn encode(position: i64) -> String {
    let [a, b, c, d, e, f, g, h] = position.to_be_bytes();
    BASE64_URL_SAFE_NO_PAD.encode([VERSION, a, b, c, d, e, f, g, h])
}

pub(crate) fn decode(field: &str, cursor: &str) -> Result<i64, Problem> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    match bytes.split_first() {
        Some((&VERSION, position)) => position.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    }
    .ok_or_else(|| {
        let message = "not a cursor of this service; use the cursor of a message";
        Problem::invalid(field, Reason::CursorInvalid, message)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encoded_cursor_decodes_to_its_position() {
        for at in [0, 1, i64::MAX] {
            assert_eq!(decode("after", &encode(at)).unwrap(), at);
        }
        for bad in ["x", "AAAAAAAAAAAB", "AQAA", "!"] {
            assert!(decode("after", bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

        #[test]
        fn any_text_is_a_canonical_cursor_or_refused(text in "[A-Za-z0-9_-]{0,14}|.*", at: i64) {
            if let Ok(position) = decode("after", &text) {
                prop_assert_eq!(encode(position), text);
            }
            prop_assert_eq!(decode("after", &encode(at)).unwrap(), at);
        }
    }
}
