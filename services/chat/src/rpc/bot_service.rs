//! The methods of chat.v1.BotService.

use std::{pin::Pin, sync::Arc};

use access::Caller;
use api::chat::v1::{
    AssignBotRequest, AssignBotResponse, CreateBotRequest, CreateBotResponse, DeleteBotRequest,
    DeleteBotResponse, GetBotRequest, GetBotResponse, ListAssignmentsRequest,
    ListAssignmentsResponse, ListBotsRequest, ListBotsResponse, ListParkedDeliveriesRequest,
    ListParkedDeliveriesResponse, RetryDeliveryRequest, RetryDeliveryResponse, UnassignBotRequest,
    UnassignBotResponse, UpdateBotRequest, UpdateBotResponse, WorkRequest, WorkResponse,
    bot_service_server::BotService,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{assignments, bots, deliveries};
use crate::{
    bots::{dispatcher::DeliveryDispatcher, fanout::Fanout},
    limits::ConcurrencyLimit,
    store::Store,
};

pub(crate) struct BotRpcs {
    store: Store,
    dispatcher: Arc<DeliveryDispatcher>,
    fanout: Fanout,
    streams: ConcurrencyLimit,
}

impl BotRpcs {
    pub(crate) const fn new(
        store: Store,
        dispatcher: Arc<DeliveryDispatcher>,
        fanout: Fanout,
        streams: ConcurrencyLimit,
    ) -> Self {
        Self { store, dispatcher, fanout, streams }
    }
}

#[tonic::async_trait]
impl BotService for BotRpcs {
    type WorkStream = Pin<Box<dyn Stream<Item = Result<WorkResponse, Status>> + Send + 'static>>;

    async fn create_bot(
        &self,
        request: Request<CreateBotRequest>,
    ) -> Result<Response<CreateBotResponse>, Status> {
        self.store.reply(bots::create(&self.store, request.into_inner()).await)
    }

    async fn get_bot(
        &self,
        request: Request<GetBotRequest>,
    ) -> Result<Response<GetBotResponse>, Status> {
        self.store.reply(bots::get(&self.store, request.into_inner()).await)
    }

    async fn list_bots(
        &self,
        request: Request<ListBotsRequest>,
    ) -> Result<Response<ListBotsResponse>, Status> {
        self.store.reply(bots::list(&self.store, request.into_inner()).await)
    }

    async fn update_bot(
        &self,
        request: Request<UpdateBotRequest>,
    ) -> Result<Response<UpdateBotResponse>, Status> {
        let updated = bots::update(&self.store, &self.fanout, request.into_inner()).await;
        self.store.reply(updated)
    }

    async fn delete_bot(
        &self,
        request: Request<DeleteBotRequest>,
    ) -> Result<Response<DeleteBotResponse>, Status> {
        self.store.reply(bots::delete(&self.store, request.into_inner()).await)
    }

    async fn assign_bot(
        &self,
        request: Request<AssignBotRequest>,
    ) -> Result<Response<AssignBotResponse>, Status> {
        let assigned = assignments::assign(&self.store, &self.fanout, request.into_inner()).await;
        self.store.reply(assigned)
    }

    async fn unassign_bot(
        &self,
        request: Request<UnassignBotRequest>,
    ) -> Result<Response<UnassignBotResponse>, Status> {
        self.store.reply(assignments::unassign(&self.store, request.into_inner()).await)
    }

    async fn list_assignments(
        &self,
        request: Request<ListAssignmentsRequest>,
    ) -> Result<Response<ListAssignmentsResponse>, Status> {
        self.store.reply(assignments::list(&self.store, request.into_inner()).await)
    }

    async fn work(
        &self,
        request: Request<Streaming<WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let permit = self.streams.try_acquire()?;
        let (_, extensions, requests) = request.into_parts();
        let caller = extensions.get::<Caller>().cloned();
        let leased = deliveries::work(&self.dispatcher, permit, requests, caller);
        Ok(Response::new(Box::pin(self.store.gate().while_open(leased))))
    }

    async fn list_parked_deliveries(
        &self,
        request: Request<ListParkedDeliveriesRequest>,
    ) -> Result<Response<ListParkedDeliveriesResponse>, Status> {
        self.store.reply(deliveries::list_parked(&self.store, request.into_inner()).await)
    }

    async fn retry_delivery(
        &self,
        request: Request<RetryDeliveryRequest>,
    ) -> Result<Response<RetryDeliveryResponse>, Status> {
        let retried = deliveries::retry(&self.store, &self.dispatcher, request.into_inner()).await;
        self.store.reply(retried)
    }
}
