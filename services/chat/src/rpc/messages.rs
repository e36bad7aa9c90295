//! The methods for messages.

use api::Reason;
use api::chat::v1::{
    ListMessagesRequest, ListMessagesResponse, SendMessageRequest, SendMessageResponse,
    SubscribeRequest, SubscribeResponse,
};
use database::{Connection, types::Time};
use diesel::QueryResult;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use uuid::Uuid;
use wire::Problem;

use super::{
    convert,
    list::{List, read_page},
};
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

const MAX_SENDER_CHARS: usize = 255;
/// Of the JSON text.
const MAX_METADATA_BYTES: usize = 64 * 1024;

pub(super) async fn send(
    writer: &Writer,
    request: SendMessageRequest,
) -> Result<SendMessageResponse, Error> {
    let message = NewMessage {
        chat_id: validate::id("chat_id", request.chat_id)?,
        id: validate::uuid("id", request.id)?.unwrap_or_else(Uuid::now_v7).to_string(),
        sender: validate::text("sender", request.sender, MAX_SENDER_CHARS)?,
        body: validate::body("body", request.body, MAX_BODY_BYTES)?,
        reply_to: validate::uuid("reply_to", request.reply_to)?.map(|id| id.to_string()),
        metadata: validate::metadata("metadata", request.metadata)?,
        sent_at: Time::now(),
    };
    if message.metadata.0.to_string().len() > MAX_METADATA_BYTES {
        let what = format!("longer than {MAX_METADATA_BYTES} bytes of JSON");
        return Err(Problem::invalid("metadata", Reason::FieldTooLong, what).into());
    }
    let stored = writer.send(message).await?;
    Ok(SendMessageResponse { message: Some(convert::message(&stored)) })
}

pub(super) async fn list(
    store: &Store,
    request: ListMessagesRequest,
) -> Result<ListMessagesResponse, Error> {
    let chat_id = validate::id("chat_id", request.chat_id)?;
    let connection = &mut store.connection().await?;
    let list = MessageList { chat_id };
    let (messages, next_page_token) =
        read_page(&list, connection, request.page_size, &request.page_token).await?;
    if messages.is_empty() && Chat::by_id(connection, &list.chat_id).await?.is_none() {
        return Err(Error::ChatNotFound(list.chat_id));
    }
    Ok(ListMessagesResponse { messages, next_page_token })
}

/// A chat's messages, newest first.
struct MessageList {
    chat_id: String,
}

impl List for MessageList {
    type Row = Message;
    type Key = i64;
    type Item = api::chat::v1::Message;

    fn name(&self) -> String {
        format!("messages?chat={}", self.chat_id)
    }

    async fn read(
        &self,
        connection: &mut Connection,
        after: Option<i64>,
        limit: usize,
    ) -> QueryResult<Vec<Message>> {
        Message::before(connection, &self.chat_id, after, limit).await
    }

    fn key(row: &Message) -> i64 {
        row.position
    }

    fn convert(row: Message) -> Self::Item {
        convert::message(&row)
    }
}

pub(super) async fn subscribe(
    feed: &Feed,
    permit: OwnedSemaphorePermit,
    request: SubscribeRequest,
) -> Result<impl Stream<Item = Result<SubscribeResponse, Status>> + Send + use<>, Error> {
    let chat_id = validate::optional_text("chat_id", request.chat_id, validate::MAX_ID_CHARS)?;
    let after = match request.after.as_str() {
        "" => None,
        after => Some(cursor::decode("after", after)?),
    };
    let after = start_position(feed.store(), chat_id.as_deref(), after).await?;
    let receiver = feed.subscribe(chat_id.as_deref()).await?;
    let store = feed.store().clone();
    Ok(subscription::stream(receiver, after).map(move |message| {
        // Held for as long as the stream is.
        let _ = &permit;
        match message {
            Ok(message) => Ok(SubscribeResponse { message: Some(convert::message(&message)) }),
            Err(error) => Err(store.refuse(error)),
        }
    }))
}

/// The position after which a subscription begins. Returns its connection before the caller waits
/// for the feed: the feed needs one of the same pool.
async fn start_position(
    store: &Store,
    chat_id: Option<&str>,
    after: Option<i64>,
) -> Result<i64, Error> {
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
