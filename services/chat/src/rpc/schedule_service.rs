//! The methods of chat.v1.ScheduleService.

use api::chat::v1::{
    CreateScheduleRequest, CreateScheduleResponse, DeleteScheduleRequest, DeleteScheduleResponse,
    GetScheduleRequest, GetScheduleResponse, ListSchedulesRequest, ListSchedulesResponse,
    RunScheduleRequest, RunScheduleResponse, UpdateScheduleRequest, UpdateScheduleResponse,
    schedule_service_server::ScheduleService,
};
use tonic::{Request, Response, Status};

use super::schedules;
use crate::{bus::Bus, messages::writer::Writer, store::Store};

pub(crate) struct ScheduleRpcs {
    store: Store,
    writer: Writer,
    bus: Bus,
}

impl ScheduleRpcs {
    /// `bus` is notified of changes.
    pub(crate) const fn new(store: Store, writer: Writer, bus: Bus) -> Self {
        Self { store, writer, bus }
    }
}

#[tonic::async_trait]
impl ScheduleService for ScheduleRpcs {
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
