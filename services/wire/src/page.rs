//! Keyset pages: their size and their tokens. A token is opaque, versioned, and bound to its filter,
//! so that a token of one list does not continue another. A page may be shorter than requested and
//! still have a successor (<https://google.aip.dev/158>), since it must fit into a response.

use api::Reason;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::Problem;

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 1_000;

/// The bytes from which on a page ends: gRPC clients accept responses of 4 MiB by default.
const MAX_BYTES: usize = 3 * 1024 * 1024;
/// An upper bound of a row: 64 KiB of text, and 64 KiB of JSON, which takes up to seven times that
/// as a `Struct`.
const MAX_ROW_BYTES: usize = 1024 * 1024;
/// Rows that one query reads, to bound the memory of a page that is being read.
const BATCH_SIZE: usize = 128;
/// The batch sizes of most queries: of a page of the default size, and of a longer one.
pub const USUAL: [usize; 2] = [DEFAULT_SIZE + 1, BATCH_SIZE];

/// The version of the token's layout; tokens of other versions are refused.
const VERSION: u8 = 1;
/// The bytes of the filter's hash in a token.
const BINDING_BYTES: usize = 4;

/// The number of rows that `page_size` requests: 0 means 50, more than 1,000 means 1,000.
///
/// # Errors
/// It is negative.
pub fn size(page_size: i32) -> Result<usize, Problem> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(MAX_SIZE)),
        Err(_) => {
            let what = "negative; use 1 to 1000, or 0 for 50";
            Err(Problem::invalid("page_size", Reason::PageSizeInvalid, what))
        }
    }
}

/// A page that is being read.
#[derive(Debug)]
pub struct Page<W> {
    rows: Vec<W>,
    size: usize,
    bytes_left: usize,
    /// The key of the last row, once it may be the page's last.
    last_key: Option<String>,
    has_next: bool,
}

impl<W: prost::Message> Page<W> {
    /// An empty page of the requested size.
    ///
    /// # Errors
    /// The size is negative.
    pub fn of(page_size: i32) -> Result<Self, Problem> {
        let size = size(page_size)?;
        Ok(Self { rows: Vec::new(), size, bytes_left: MAX_BYTES, last_key: None, has_next: false })
    }

    /// How many rows to read next: up to one more than the page has, to learn whether another page
    /// follows.
    pub fn wanted(&self) -> usize {
        BATCH_SIZE.min(self.size + 1 - self.rows.len())
    }

    /// Whether it has no rows.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds the rows that were read, converted to the wire's type. Returns whether to read more.
    pub fn take<R>(
        &mut self,
        read: Vec<R>,
        key: impl Fn(&R) -> String,
        wire: impl Fn(R) -> W,
    ) -> bool {
        let is_end = read.len() < self.wanted();
        for row in read {
            let is_full = self.rows.len() == self.size || self.bytes_left == 0;
            if is_full && self.last_key.is_some() {
                self.has_next = true;
                return false;
            }
            let may_be_last = self.rows.len() + 1 == self.size || self.bytes_left <= MAX_ROW_BYTES;
            self.last_key = may_be_last.then(|| key(&row));
            let row = wire(row);
            self.bytes_left = self.bytes_left.saturating_sub(row.encoded_len());
            self.rows.push(row);
        }
        !is_end
    }

    /// The rows, and the token of the next page, if there is one.
    pub fn end(self, filter: &str) -> (Vec<W>, String) {
        let key = self.last_key.filter(|_| self.has_next);
        (self.rows, key.map(|key| token(&key, filter)).unwrap_or_default())
    }
}

/// A token for the rows after the one with this key, in the list that `filter` names.
pub fn token(key: &str, filter: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(binding(filter));
    bytes.extend(key.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The key of the row after which the page begins; `None` for the first page.
///
/// # Errors
/// The token was not made by this service, or belongs to another list.
pub fn read(token: &str, filter: &str) -> Result<Option<String>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    let Some((VERSION, rest)) = bytes.split_first().map(|(version, rest)| (*version, rest)) else {
        return Err(foreign());
    };
    let Some((bound, key)) = rest.split_at_checked(BINDING_BYTES) else {
        return Err(foreign());
    };
    if bound != binding(filter) {
        return Err(invalid("made for another filter; start at the first page"));
    }
    let key = String::from_utf8(key.to_vec());
    key.map(Some).map_err(|_| foreign())
}

/// The refusal of a token that this service did not make, for keys that cannot be parsed too.
pub fn foreign() -> Problem {
    invalid("not a token of this service; start at the first page")
}

fn invalid(what: &str) -> Problem {
    Problem::invalid("page_token", Reason::PageTokenInvalid, what)
}

fn binding(filter: &str) -> Vec<u8> {
    Sha256::digest(filter)[..BINDING_BYTES].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads all pages of a list of `rows` rows; returns how many rows each page has.
    fn pages(rows: usize, row: usize, page_size: i32) -> Vec<usize> {
        let (mut counts, mut from) = (Vec::new(), 0);
        loop {
            let mut page = Page::<Vec<u8>>::of(page_size).unwrap();
            loop {
                let at = from + page.rows.len();
                let read = (at..rows).take(page.wanted()).collect();
                if !page.take(read, usize::to_string, |_| vec![0; row]) {
                    break;
                }
            }
            let (taken, token) = page.end("rows");
            counts.push(taken.len());
            from += taken.len();
            match read("", "rows").and(read(&token, "rows")).unwrap() {
                Some(key) => assert_eq!(key, (from - 1).to_string()),
                None => return counts,
            }
        }
    }

    #[test]
    fn a_page_has_as_many_rows_as_fit() {
        assert_eq!(pages(120, 100, 0), [50, 50, 20]);
        assert_eq!(pages(50, 100, 0), [50]);
        assert_eq!(pages(0, 100, 0), [0]);
        assert_eq!(pages(1_500, 100, 1_000), [1_000, 500]);
        // 48 of 64 KiB are 3 MiB.
        assert_eq!(pages(100, 64 * 1024, 1_000), [48, 48, 4]);
        // Larger than the upper bound of a row: no row is lost.
        assert_eq!(pages(5, 2 * 1024 * 1024, 1_000).iter().sum::<usize>(), 5);
    }

    #[test]
    fn a_token_continues_its_own_list_only() {
        let given = token("2026|a", "type=1");
        assert_eq!(read(&given, "type=1").unwrap().as_deref(), Some("2026|a"));
        assert!(read(&given, "type=2").unwrap_err().message().contains("another filter"));
        assert_eq!(read("", "type=1").unwrap(), None);
    }

    #[test]
    fn malformed_tokens_are_refused() {
        for bad in ["x", "!!", "AQ", "AAAAAAAA", "AQAAAA_-_-"] {
            assert!(read(bad, "").unwrap_err().message().starts_with("page_token"), "{bad}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(
            [0, 1, 1_000, 1_001, i32::MAX].map(|n| size(n).unwrap()),
            [50, 1, 1_000, 1_000, 1_000]
        );
        assert!(size(-1).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

        #[test]
        fn any_token_round_trips_or_is_refused(text in ".*", filter in ".*") {
            if let Ok(Some(key)) = read(&text, &filter) {
                prop_assert_eq!(token(&key, &filter), text);
            }
        }

        #[test]
        fn a_modified_token_is_refused_or_has_another_key(
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
