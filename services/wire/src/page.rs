//! Pages, by keyset only: how many rows, and from where. A token is opaque, has a version, and is
//! bound to its filter: a page of one list never continues another. A page may be shorter than was
//! asked for and yet lead to another (<https://google.aip.dev/158>): what it holds must fit into an answer.

use api::Reason;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::Problem;

const DEFAULT: usize = 50;
const MOST: usize = 1_000;

/// Bytes of a page, whichever row comes last: clients of gRPC take 4 MiB unless told otherwise.
const BYTES: usize = 3 * 1024 * 1024;
/// No row of ours is larger: 64 KiB of text and as much of JSON, which the wire makes seven times that.
const LARGEST: usize = 1024 * 1024;
/// Rows that are read at once, so that a page in the making is no larger than one that is made.
const STEP: usize = 128;
/// How many rows are read at once most often: for a page of the default size, and for a long one.
pub const USUAL: [usize; 2] = [DEFAULT + 1, STEP];

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
            Err(Problem::invalid("page_size", Reason::PageSizeInvalid, what))
        }
    }
}

/// A page in the making.
#[derive(Debug)]
pub struct Page<W> {
    rows: Vec<W>,
    size: usize,
    room: usize,
    /// What leads behind the last row, once it may be the last.
    key: Option<String>,
    has_next: bool,
}

impl<W: prost::Message> Page<W> {
    /// An empty one, of the size that a request asks for.
    ///
    /// # Errors
    /// It is negative.
    pub fn of(page_size: i32) -> Result<Self, Problem> {
        let size = size(page_size)?;
        Ok(Self { rows: Vec::new(), size, room: BYTES, key: None, has_next: false })
    }

    /// How many rows to read next. One more than the page has tells whether another follows.
    pub fn wanted(&self) -> usize {
        STEP.min(self.size + 1 - self.rows.len())
    }

    /// Whether nothing was read into it.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes what was read of the rows that were wanted, as the wire has them; whether more are.
    pub fn take<R>(
        &mut self,
        read: Vec<R>,
        key: impl Fn(&R) -> String,
        wire: impl Fn(R) -> W,
    ) -> bool {
        let is_end = read.len() < self.wanted();
        for row in read {
            let is_full = self.rows.len() == self.size || self.room == 0;
            if is_full && self.key.is_some() {
                self.has_next = true;
                return false;
            }
            let may_be_last = self.rows.len() + 1 == self.size || self.room <= LARGEST;
            self.key = may_be_last.then(|| key(&row));
            let row = wire(row);
            self.room = self.room.saturating_sub(row.encoded_len());
            self.rows.push(row);
        }
        !is_end
    }

    /// The rows, and the token of the next page, if there is one.
    pub fn end(self, filter: &str) -> (Vec<W>, String) {
        let key = self.key.filter(|_| self.has_next);
        (self.rows, key.map(|key| token(&key, filter)).unwrap_or_default())
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
    Problem::invalid("page_token", Reason::PageTokenInvalid, what)
}

fn binding(filter: &str) -> Vec<u8> {
    Sha256::digest(filter)[..BINDING].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pages of so many rows of such a size, until the last one; how many each has.
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
        // Larger than any is: each is a page, and none is lost.
        assert_eq!(pages(5, 2 * 1024 * 1024, 1_000).iter().sum::<usize>(), 5);
    }

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
