//! Messages: sending one, reading a chat's back, hearing new ones.

use api::Reason;
use api::chat::v1::{
    ListMessagesRequest, ListMessagesResponse, SendMessageRequest, SendMessageResponse,
    SubscribeRequest, SubscribeResponse,
};
use database::types::Time;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use uuid::Uuid;
use wire::{
    Problem,
    page::{self, Page},
};

use super::convert;
use crate::{
    error::Error,
    messages::{MAX_BODY_BYTES, cursor, feed::Feed, subscription, writer::Writer},
    models::{
        chat::Chat,
        message::{Message, NewMessage},
    },
    store::Store,
    validate,
};

const SENDER_LENGTH: usize = 255;
/// In bytes of JSON.
const METADATA_SIZE: usize = 64 * 1024;

pub(super) async fn send(
    writer: &Writer,
    request: SendMessageRequest,
) -> Result<SendMessageResponse, Error> {
    let message = NewMessage {
        chat_id: validate::id("chat_id", request.chat_id)?,
        id: validate::uuid("id", request.id)?.unwrap_or_else(Uuid::now_v7).to_string(),
        sender: validate::text("sender", request.sender, SENDER_LENGTH)?,
        body: validate::body("body", request.body, MAX_BODY_BYTES)?,
        reply_to: validate::uuid("reply_to", request.reply_to)?.map(|id| id.to_string()),
        metadata: validate::metadata("metadata", request.metadata)?,
        sent_at: Time::now(),
    };
    if message.metadata.0.to_string().len() > METADATA_SIZE {
        let what = format!("longer than {METADATA_SIZE} bytes of JSON");
        return Err(Problem::invalid("metadata", Reason::FieldTooLong, what).into());
    }
    let stored = writer.send(message).await?;
    Ok(SendMessageResponse { message: Some(convert::message(&stored)) })
}

pub(super) async fn list(
    store: &Store,
    request: ListMessagesRequest,
) -> Result<ListMessagesResponse, Error> {
    let mut page = Page::of(request.page_size)?;
    let chat_id = validate::id("chat_id", request.chat_id)?;
    let filter = format!("messages?chat={chat_id}");
    let mut before = page::read(&request.page_token, &filter)?
        .map(|position| position.parse().map_err(|_| page::foreign()))
        .transpose()?;
    let connection = &mut store.connection().await?;
    loop {
        let read = Message::before(connection, &chat_id, before, page.wanted()).await?;
        before = read.last().map(|message| message.position);
        let key = |message: &Message| message.position.to_string();
        if !page.take(read, key, |message| convert::message(&message)) {
            break;
        }
    }
    if page.is_empty() && Chat::by_id(connection, &chat_id).await?.is_none() {
        return Err(Error::ChatNotFound(chat_id));
    }
    let (messages, next_page_token) = page.end(&filter);
    Ok(ListMessagesResponse { messages, next_page_token })
}

pub(super) async fn subscribe(
    feed: &Feed,
    place: OwnedSemaphorePermit,
    request: SubscribeRequest,
) -> Result<impl Stream<Item = Result<SubscribeResponse, Status>> + Send + use<>, Error> {
    let chat_id = validate::optional_text("chat_id", request.chat_id, validate::ID_LENGTH)?;
    let after = match request.after.as_str() {
        "" => None,
        after => Some(cursor::decode("after", after)?),
    };
    let after = begin(feed.store(), chat_id.as_deref(), after).await?;
    let receiver = feed.subscribe(chat_id.as_deref()).await?;
    let store = feed.store().clone();
    Ok(subscription::stream(receiver, after).map(move |message| {
        // Held for as long as the stream is.
        let _ = &place;
        match message {
            Ok(message) => Ok(SubscribeResponse { message: Some(convert::message(&message)) }),
            Err(error) => Err(store.refuse(error)),
        }
    }))
}

/// Where a subscription begins. Its connection is free again when this returns: whoever held one
/// while it waited for the feed's would keep the feed from it.
async fn begin(store: &Store, chat_id: Option<&str>, after: Option<i64>) -> Result<i64, Error> {
    let connection = &mut store.connection().await?;
    if let Some(chat_id) = chat_id
        && Chat::by_id(connection, chat_id).await?.is_none()
    {
        return Err(Error::ChatNotFound(chat_id.to_owned()));
    }
    Ok(match after {
        Some(after) => after,
        None => Message::newest_position(connection).await?,
    })
}
