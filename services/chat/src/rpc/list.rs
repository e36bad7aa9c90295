//! Reading one page of a list.

use prost::Message;
use wire::page::{self, Page};

use crate::{error::Error, validate};

/// The key of a row in the order of its list, as a page token holds it.
pub(super) trait ListKey: Clone {
    fn encode(&self) -> String;

    /// None where no key encodes to this text.
    fn decode(text: &str) -> Option<Self>;
}

/// An id.
impl ListKey for String {
    fn encode(&self) -> String {
        self.clone()
    }

    fn decode(text: &str) -> Option<Self> {
        validate::id("page_token", text.to_owned()).ok()
    }
}

/// A position.
impl ListKey for i64 {
    fn encode(&self) -> String {
        self.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The rows of a page, and the token of the next one.
pub(super) type ListPage<W> = (Vec<W>, String);

/// Fills a page with the rows after its token. `read` returns up to so many rows after a key, which
/// is none at the beginning of the list; it is called until the page is full or the list ends.
///
/// `filter` names the list, to which the token is bound.
pub(super) async fn read_page<R, K: ListKey, W: Message>(
    page_size: i32,
    page_token: &str,
    filter: &str,
    mut read: impl AsyncFnMut(Option<K>, usize) -> Result<Vec<R>, Error>,
    key: impl Fn(&R) -> K,
    convert: impl Fn(R) -> W,
) -> Result<ListPage<W>, Error> {
    let mut page = Page::of(page_size)?;
    let token_key = page::read(page_token, filter)?;
    let decode = |text: String| K::decode(&text).ok_or_else(page::foreign);
    let mut after = token_key.map(decode).transpose()?;
    loop {
        let rows = read(after, page.wanted()).await?;
        after = rows.last().map(&key);
        if !page.take(rows, |row| key(row).encode(), &convert) {
            return Ok(page.end(filter));
        }
    }
}
