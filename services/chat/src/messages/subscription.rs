//! A subscription: reads the database up to now, then follows the feed, and reads the database
//! again whenever it falls behind.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, stream};

use super::feed::FeedReceiver;
use crate::{error::Error, models::message::Message};

/// Messages that a subscription reads from the database and buffers at a time.
const PAGE_SIZE: usize = 64;

struct Subscription {
    receiver: FeedReceiver,
    /// The position up to which messages were returned.
    after: i64,
    /// Whether the database may have messages that the receiver will not get.
    is_behind: bool,
    page: VecDeque<Arc<Message>>,
}

/// Every message after a position, in order, without end; an error ends the stream.
pub(crate) fn stream(
    receiver: FeedReceiver,
    after: i64,
) -> impl Stream<Item = Result<Arc<Message>, Error>> + Send + 'static {
    let start = Subscription { receiver, after, is_behind: true, page: VecDeque::new() };
    stream::try_unfold(start, |mut subscription| async move {
        let message = subscription.next().await?;
        Ok(Some((message, subscription)))
    })
}

impl Subscription {
    async fn next(&mut self) -> Result<Arc<Message>, Error> {
        loop {
            if let Some(message) = self.page.pop_front() {
                self.after = message.position;
                return Ok(message);
            }
            if self.is_behind {
                self.catch_up().await?;
                continue;
            }
            match self.receiver.recv().await {
                // Already read from the database, where the two overlap.
                Some(message) if message.position <= self.after => {}
                Some(message) => self.page.push_back(message),
                None => self.is_behind = true,
            }
        }
    }

    /// Reads a page. A page that is not full is the last: the receiver existed before this read,
    /// and gets what is stored later.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let feed = self.receiver.feed();
        let page = feed.read_page(self.receiver.chat_id(), self.after, PAGE_SIZE).await?;
        self.is_behind = page.len() == PAGE_SIZE;
        self.page = page.into_iter().map(Arc::new).collect();
        Ok(())
    }
}
