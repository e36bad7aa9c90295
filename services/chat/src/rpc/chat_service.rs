//! The methods of chat.v1.ChatService.

use std::{pin::Pin, sync::Arc};

use api::chat::v1::{
    CreateChatRequest, CreateChatResponse, DeleteChatRequest, DeleteChatResponse, GetChatRequest,
    GetChatResponse, ImportChatsRequest, ImportChatsResponse, ListChatsRequest, ListChatsResponse,
    ListMessagesRequest, ListMessagesResponse, SendMessageRequest, SendMessageResponse,
    SubscribeRequest, SubscribeResponse, UpdateChatRequest, UpdateChatResponse,
    chat_service_server::ChatService,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    chats, encoded_response::EncodedResponse, import, messages, single_flight::SingleFlight,
};
use crate::{
    limits::ConcurrencyLimit,
    messages::{feed::Feed, writer::Writer},
    store::Store,
};

pub(crate) struct ChatRpcs {
    store: Store,
    writer: Writer,
    feed: Feed,
    streams: ConcurrencyLimit,
    pages: Arc<SingleFlight<ListChatsRequest, Result<EncodedResponse, Status>>>,
}

impl ChatRpcs {
    /// `streams` limits the subscriptions.
    pub(crate) fn new(store: Store, writer: Writer, feed: Feed, streams: ConcurrencyLimit) -> Self {
        Self { store, writer, feed, streams, pages: SingleFlight::new() }
    }
}

#[tonic::async_trait]
impl ChatService for ChatRpcs {
    type SubscribeStream =
        Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send + 'static>>;

    async fn create_chat(
        &self,
        request: Request<CreateChatRequest>,
    ) -> Result<Response<CreateChatResponse>, Status> {
        self.store.reply(chats::create(&self.store, request.into_inner()).await)
    }

    async fn get_chat(
        &self,
        request: Request<GetChatRequest>,
    ) -> Result<Response<GetChatResponse>, Status> {
        self.store.reply(chats::get(&self.store, request.into_inner()).await)
    }

    async fn list_chats(
        &self,
        request: Request<ListChatsRequest>,
    ) -> Result<Response<ListChatsResponse>, Status> {
        let request = request.into_inner();
        let page = self.pages.read(request.clone(), || {
            let store = self.store.clone();
            async move {
                let page = chats::list(&store, request).await;
                EncodedResponse::encode(&page.map_err(|error| store.refuse(error))?)
            }
        });
        page.await.map(EncodedResponse::into_response)
    }

    async fn update_chat(
        &self,
        request: Request<UpdateChatRequest>,
    ) -> Result<Response<UpdateChatResponse>, Status> {
        self.store.reply(chats::update(&self.store, request.into_inner()).await)
    }

    async fn delete_chat(
        &self,
        request: Request<DeleteChatRequest>,
    ) -> Result<Response<DeleteChatResponse>, Status> {
        self.store.reply(chats::delete(&self.store, request.into_inner()).await)
    }

    async fn import_chats(
        &self,
        request: Request<Streaming<ImportChatsRequest>>,
    ) -> Result<Response<ImportChatsResponse>, Status> {
        self.store.reply(import::import(&self.store, request.into_inner()).await)
    }

    async fn send_message(
        &self,
        request: Request<SendMessageRequest>,
    ) -> Result<Response<SendMessageResponse>, Status> {
        self.store.reply(messages::send(&self.writer, request.into_inner()).await)
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        self.store.reply(messages::list(&self.store, request.into_inner()).await)
    }

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let permit = self.streams.try_acquire()?;
        let subscribed = messages::subscribe(&self.feed, permit, request.into_inner()).await;
        self.store.reply(subscribed.map(|messages| -> Self::SubscribeStream {
            Box::pin(self.store.gate().while_open(messages))
        }))
    }
}
