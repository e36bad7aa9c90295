//! Reading one page of a list.

use database::Connection;
use diesel::QueryResult;
use prost::Message;
use wire::page::{self, Page};

use crate::{error::Error, validate};

/// The key of a row in the order of its list, as a page token holds it.
pub(super) trait ListKey: Sized {
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

/// A list whose rows are read page by page.
pub(super) trait List: Sync {
    type Row: Send;
    type Key: ListKey + Send;
    type Item: Message;

    /// The list's name with its filter. A page token is bound to it.
    fn name(&self) -> String;

    /// At most `limit` rows after a key; from the beginning if there is none.
    fn read(
        &self,
        connection: &mut Connection,
        after: Option<Self::Key>,
        limit: usize,
    ) -> impl Future<Output = QueryResult<Vec<Self::Row>>> + Send;

    fn key(row: &Self::Row) -> Self::Key;

    fn convert(row: Self::Row) -> Self::Item;
}

/// Reads rows after a page token until the page is full or the list ends. Returns them with the token of
/// the next page.
pub(super) async fn read_page<L: List>(
    list: &L,
    connection: &mut Connection,
    page_size: i32,
    page_token: &str,
) -> Result<(Vec<L::Item>, String), Error> {
    let name = list.name();
    let mut page = Page::of(page_size)?;
    let decode = |text: String| L::Key::decode(&text).ok_or_else(page::foreign);
    let mut after = page::read(page_token, &name)?.map(decode).transpose()?;
    loop {
        let rows = list.read(connection, after, page.wanted()).await?;
        after = rows.last().map(L::key);
        if !page.take(rows, |row| L::key(row).encode(), L::convert) {
            return Ok(page.end(&name));
        }
    }
}
