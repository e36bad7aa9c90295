//! chat.v1.ChatService and chat.v1.ScheduleService: the tables of their methods.

use std::{pin::Pin, sync::Arc};

use api::chat::v1::{
    CreateChatRequest, CreateChatResponse, CreateScheduleRequest, CreateScheduleResponse,
    DeleteChatRequest, DeleteChatResponse, DeleteScheduleRequest, DeleteScheduleResponse,
    GetChatRequest, GetChatResponse, GetScheduleRequest, GetScheduleResponse, ImportChatsRequest,
    ImportChatsResponse, ListChatsRequest, ListChatsResponse, ListMessagesRequest,
    ListMessagesResponse, ListSchedulesRequest, ListSchedulesResponse, RunScheduleRequest,
    RunScheduleResponse, SendMessageRequest, SendMessageResponse, SubscribeRequest,
    SubscribeResponse, UpdateChatRequest, UpdateChatResponse, UpdateScheduleRequest,
    UpdateScheduleResponse, chat_service_server::ChatService,
    schedule_service_server::ScheduleService,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{chats, import, made::Made, messages, schedules, together::Together};
use crate::{
    bus::Bus,
    limits::Room,
    messages::{feed::Feed, writer::Writer},
    store::Store,
};

/// chat.v1.ChatService.
pub struct Chats {
    store: Store,
    writer: Writer,
    feed: Feed,
    streams: Room,
    pages: Arc<Together<ListChatsRequest, Result<Made, Status>>>,
}

impl Chats {
    /// The service on this store, with its writer, its feed, and room for so many subscribers.
    pub(crate) fn new(store: Store, writer: Writer, feed: Feed, streams: Room) -> Self {
        Self { store, writer, feed, streams, pages: Together::new() }
    }
}

#[tonic::async_trait]
impl ChatService for Chats {
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
                Made::of(&page.map_err(|error| store.refuse(error))?)
            }
        });
        page.await.map(Made::response)
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
        let place = self.streams.enter()?;
        let subscribed = messages::subscribe(&self.feed, place, request.into_inner()).await;
        self.store.reply(subscribed.map(|messages| -> Self::SubscribeStream {
            Box::pin(self.store.gate().while_open(messages))
        }))
    }
}

/// chat.v1.ScheduleService.
pub struct Schedules {
    store: Store,
    writer: Writer,
    bus: Bus,
}

impl Schedules {
    /// The service on this store, with its writer, and the bus that is told of changes.
    pub(crate) const fn new(store: Store, writer: Writer, bus: Bus) -> Self {
        Self { store, writer, bus }
    }
}

#[tonic::async_trait]
impl ScheduleService for Schedules {
    async fn create_schedule(
        &self,
        request: Request<CreateScheduleRequest>,
    ) -> Result<Response<CreateScheduleResponse>, Status> {
        let created = schedules::create(&self.store, &self.bus, request.into_inner()).await;
        self.store.reply(created)
    }

    async fn get_schedule(
        &self,
        request: Request<GetScheduleRequest>,
    ) -> Result<Response<GetScheduleResponse>, Status> {
        self.store.reply(schedules::get(&self.store, request.into_inner()).await)
    }

    async fn list_schedules(
        &self,
        request: Request<ListSchedulesRequest>,
    ) -> Result<Response<ListSchedulesResponse>, Status> {
        self.store.reply(schedules::list(&self.store, request.into_inner()).await)
    }

    async fn update_schedule(
        &self,
        request: Request<UpdateScheduleRequest>,
    ) -> Result<Response<UpdateScheduleResponse>, Status> {
        let updated = schedules::update(&self.store, &self.bus, request.into_inner()).await;
        self.store.reply(updated)
    }

    async fn delete_schedule(
        &self,
        request: Request<DeleteScheduleRequest>,
    ) -> Result<Response<DeleteScheduleResponse>, Status> {
        self.store.reply(schedules::delete(&self.store, request.into_inner()).await)
    }

    async fn run_schedule(
        &self,
        request: Request<RunScheduleRequest>,
    ) -> Result<Response<RunScheduleResponse>, Status> {
        let ran = schedules::run(&self.store, &self.writer, request.into_inner()).await;
        self.store.reply(ran)
    }
}
