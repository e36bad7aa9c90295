//! The methods for deliveries: a worker's stream, and parked deliveries.

use std::sync::Arc;

use access::Caller;
use api::chat::v1::{
    ListParkedDeliveriesRequest, ListParkedDeliveriesResponse, ParkedDelivery,
    RetryDeliveryRequest, RetryDeliveryResponse, WorkRequest, WorkResponse,
};
use database::Connection;
use diesel::QueryResult;
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Status, Streaming};

use super::{
    convert,
    list::{List, ListKey, read_page},
};
use crate::{
    bots::{dispatcher::DeliveryDispatcher, worker},
    error::Error,
    models::{clock, delivery::Delivery},
    store::Store,
    validate,
};

pub(super) fn work(
    dispatcher: &Arc<DeliveryDispatcher>,
    permit: OwnedSemaphorePermit,
    requests: Streaming<WorkRequest>,
    caller: Option<Caller>,
) -> impl Stream<Item = Result<WorkResponse, Status>> + Send + use<> {
    let leased = worker::start(dispatcher, requests, caller, permit);
    ReceiverStream::new(leased).map(|leased| leased.map(convert::leased))
}

pub(super) async fn list_parked(
    store: &Store,
    request: ListParkedDeliveriesRequest,
) -> Result<ListParkedDeliveriesResponse, Error> {
    let bot_id = validate::optional_text("bot_id", request.bot_id, validate::MAX_ID_CHARS)?;
    let chat_id = validate::optional_text("chat_id", request.chat_id, validate::MAX_ID_CHARS)?;
    let connection = &mut store.connection().await?;
    let list = ParkedList { bot_id, chat_id };
    let (deliveries, next_page_token) =
        read_page(&list, connection, request.page_size, &request.page_token).await?;
    Ok(ListParkedDeliveriesResponse { deliveries, next_page_token })
}

struct ParkedList {
    bot_id: Option<String>,
    chat_id: Option<String>,
}

impl List for ParkedList {
    /// With the message's id.
    type Row = (Delivery, String);
    type Key = ParkedKey;
    type Item = ParkedDelivery;

    fn name(&self) -> String {
        format!(
            "parked?bot={}&chat={}",
            self.bot_id.as_deref().unwrap_or_default(),
            self.chat_id.as_deref().unwrap_or_default()
        )
    }

    async fn read(
        &self,
        connection: &mut Connection,
        after: Option<ParkedKey>,
        limit: usize,
    ) -> QueryResult<Vec<Self::Row>> {
        let (bot_id, chat_id) = (self.bot_id.as_deref(), self.chat_id.as_deref());
        let after = after.unwrap_or_default();
        let after = (after.position, after.bot_id.as_str());
        Delivery::parked_page(connection, bot_id, chat_id, after, limit).await
    }

    fn key((delivery, _): &Self::Row) -> ParkedKey {
        ParkedKey { position: delivery.position, bot_id: delivery.bot_id.clone() }
    }

    fn convert(row: Self::Row) -> Self::Item {
        convert::parked(row)
    }
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

/// A parked delivery's place in their list.
#[derive(Default)]
struct ParkedKey {
    position: i64,
    bot_id: String,
}

impl ListKey for ParkedKey {
    fn encode(&self) -> String {
        format!("{}|{}", self.position, self.bot_id)
    }

    fn decode(text: &str) -> Option<Self> {
        let (position, bot_id) = text.split_once('|')?;
        Some(Self { position: position.parse().ok()?, bot_id: String::decode(bot_id)? })
    }
}
