//! Pages, by keyset only: how many rows, and from where. A token is opaque, has a version, and is
//! bound to its filter: a page of one list never continues another.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::status::Problem;

const DEFAULT: usize = 50;
const MOST: usize = 1_000;

/// The layout below. Another one is another version, and old tokens are refused by name.
const VERSION: u8 = 1;
/// The bytes of the filter's hash that a token carries.
const BINDING: usize = 4;

/// How many rows `page_size` asks for: 0 means 50, more than 1,000 means 1,000.
///
/// # Errors
/// It is negative.
pub fn size(page_size: i32) -> Result<usize, Problem> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(DEFAULT),
        Ok(size) => Ok(size.min(MOST)),
        Err(_) => {
            let what = "negative: give 1 to 1000, or 0 for 50";
            Err(Problem::invalid("page_size", "PAGE_SIZE_INVALID", what))
        }
    }
}

/// A token that leads behind the row with this key, in the list that `filter` names.
pub fn token(key: &str, filter: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(binding(filter));
    bytes.extend(key.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The key that a token leads behind; none for the first page.
///
/// # Errors
/// It is no token of ours, or one of another list.
pub fn read(token: &str, filter: &str) -> Result<Option<String>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    let Some((VERSION, rest)) = bytes.split_first().map(|(version, rest)| (*version, rest)) else {
        return Err(foreign());
    };
    let Some((bound, key)) = rest.split_at_checked(BINDING) else {
        return Err(foreign());
    };
    if bound != binding(filter) {
        return Err(invalid("of a list with another filter: start at the first page"));
    }
    let key = String::from_utf8(key.to_vec());
    key.map(Some).map_err(|_| foreign())
}

/// The refusal of what is no token of ours, for a key that cannot be read either.
pub fn foreign() -> Problem {
    invalid("not a token that this service gave: start at the first page")
}

fn invalid(what: &str) -> Problem {
    Problem::invalid("page_token", "PAGE_TOKEN_INVALID", what)
}

fn binding(filter: &str) -> Vec<u8> {
    Sha256::digest(filter)[..BINDING].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_goes_round_in_its_own_list_only() {
        let given = token("2026|a", "type=1");
        assert_eq!(read(&given, "type=1").unwrap().as_deref(), Some("2026|a"));
        assert!(read(&given, "type=2").unwrap_err().message().contains("another filter"));
        assert_eq!(read("", "type=1").unwrap(), None);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for bad in ["x", "!!", "AQ", "AAAAAAAA", "AQAAAA_-_-"] {
            assert!(read(bad, "").unwrap_err().message().starts_with("page_token"), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(
            [0, 1, 1_000, 1_001, i32::MAX].map(|n| size(n).unwrap()),
            [50, 1, 1_000, 1_000, 1_000]
        );
        assert!(size(-1).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

        #[test]
        fn any_token_is_one_of_ours_or_refused(text in ".*", filter in ".*") {
            if let Ok(Some(key)) = read(&text, &filter) {
                prop_assert_eq!(token(&key, &filter), text);
            }
        }

        #[test]
        fn a_mangled_token_is_refused_or_leads_elsewhere(
            key in ".{0,40}", filter in ".{0,20}", at in any::<prop::sample::Index>(), by in 1_u8..,
        ) {
            let given = token(&key, &filter);
            prop_assert_eq!(read(&given, &filter).unwrap(), Some(key.clone()));
            let mut bytes = given.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            if let Ok(read) = read(&String::from_utf8_lossy(&bytes), &filter) {
                prop_assert_ne!(read, Some(key));
            }
        }

        #[test]
        fn a_token_of_another_list_is_refused(key in ".*", filter in ".*", other in ".*") {
            prop_assume!(filter != other);
            prop_assert!(read(&token(&key, &filter), &other).is_err());
        }
    }
}
