//! A subscription: from the database up to now, then live, and back to the database whenever it
//! falls behind.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, stream};

use super::feed::Listener;
use crate::{error::Error, models::message::Message};

/// Messages that a subscription reads from the database at once, and holds until they are sent.
const PAGE: usize = 64;

/// One subscriber's place.
struct Subscription {
    listener: Listener,
    /// Everything up to here was handed out.
    after: i64,
    /// Whether the database has, or may have, what the listener will not hear any more.
    behind: bool,
    page: VecDeque<Arc<Message>>,
}

/// Everything after a position, in order, for ever; an error is its end.
pub(crate) fn messages(
    listener: Listener,
    after: i64,
) -> impl Stream<Item = Result<Arc<Message>, Error>> + Send + 'static {
    let start = Subscription { listener, after, behind: true, page: VecDeque::new() };
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
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            match self.listener.next().await {
                // Read from the database already, where the two overlap.
                Some(message) if message.position <= self.after => {}
                Some(message) => self.page.push_back(message),
                None => self.behind = true,
            }
        }
    }

    /// Reads a page. One that is not full was the last: what is stored later will be heard, since
    /// the listener was there before this look.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let feed = self.listener.feed();
        let page = feed.read(self.listener.chat_id(), self.after, PAGE).await?;
        self.behind = page.len() == PAGE;
        self.page = page.into_iter().map(Arc::new).collect();
        Ok(())
    }
}
