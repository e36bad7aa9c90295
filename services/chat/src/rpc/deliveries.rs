//! Deliveries: the stream of a worker, and what is parked.

use std::sync::Arc;

use access::Caller;
use api::chat::v1::{
    ListParkedDeliveriesRequest, ListParkedDeliveriesResponse, RetryDeliveryRequest,
    RetryDeliveryResponse, WorkRequest, WorkResponse,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Status, Streaming};
use wire::{
    Problem,
    page::{self, Page},
};

use super::convert;
use crate::{
    bots::{dispatcher::DeliveryDispatcher, worker},
    error::Error,
    models::{clock, delivery::Delivery},
    store::Store,
    validate,
};

pub(super) fn work(
    dispatcher: &Arc<DeliveryDispatcher>,
    place: OwnedSemaphorePermit,
    requests: Streaming<WorkRequest>,
    caller: Option<Caller>,
) -> impl Stream<Item = Result<WorkResponse, Status>> + Send + use<> {
    let leased = worker::start(dispatcher, requests, caller, place);
    ReceiverStream::new(leased).map(|leased| leased.map(convert::leased))
}

pub(super) async fn list_parked(
    store: &Store,
    request: ListParkedDeliveriesRequest,
) -> Result<ListParkedDeliveriesResponse, Error> {
    let mut page = Page::of(request.page_size)?;
    let bot_id = validate::optional_text("bot_id", request.bot_id, validate::ID_LENGTH)?;
    let chat_id = validate::optional_text("chat_id", request.chat_id, validate::ID_LENGTH)?;
    let filter = format!(
        "parked?bot={}&chat={}",
        bot_id.as_deref().unwrap_or_default(),
        chat_id.as_deref().unwrap_or_default()
    );
    let mut after = match page::read(&request.page_token, &filter)? {
        Some(key) => place(&key)?,
        None => (0, String::new()),
    };
    let connection = &mut store.connection().await?;
    let (bot_id, chat_id) = (bot_id.as_deref(), chat_id.as_deref());
    loop {
        let (wanted, behind) = (page.wanted(), (after.0, after.1.as_str()));
        let read = Delivery::parked_page(connection, bot_id, chat_id, behind, wanted).await?;
        after =
            read.last().map(|(last, _)| (last.position, last.bot_id.clone())).unwrap_or_default();
        let key = |(row, _): &(Delivery, _)| format!("{}|{}", row.position, row.bot_id);
        if !page.take(read, key, convert::parked) {
            break;
        }
    }
    let (deliveries, next_page_token) = page.end(&filter);
    Ok(ListParkedDeliveriesResponse { deliveries, next_page_token })
}

pub(super) async fn retry(
    store: &Store,
    dispatcher: &DeliveryDispatcher,
    request: RetryDeliveryRequest,
) -> Result<RetryDeliveryResponse, Error> {
    let message = validate::id("message_id", request.message_id)?;
    let bot = validate::id("bot_id", request.bot_id)?;
    let connection = &mut store.connection().await?;
    let now = clock::now(connection).await?;
    if !Delivery::unpark(connection, &message, &bot, now).await? {
        return Err(Error::DeliveryNotFound { message, bot });
    }
    dispatcher.notify_workers();
    Ok(RetryDeliveryResponse {})
}

fn place(key: &str) -> Result<(i64, String), Problem> {
    let parsed = || {
        let (position, bot_id) = key.split_once('|')?;
        Some((position.parse().ok()?, validate::id("bot_id", bot_id.to_owned()).ok()?))
    };
    parsed().ok_or_else(page::foreign)
}
