//! chat.v1.ScheduleService, which a later build answers.

use api::chat::v1::{
    CreateScheduleRequest, CreateScheduleResponse, DeleteScheduleRequest, DeleteScheduleResponse,
    GetScheduleRequest, GetScheduleResponse, ListSchedulesRequest, ListSchedulesResponse,
    RunScheduleRequest, RunScheduleResponse, UpdateScheduleRequest, UpdateScheduleResponse,
    schedule_service_server::ScheduleService,
};
use tonic::{Request, Response, Status};

use super::service::later;

/// chat.v1.ScheduleService: not in this build.
#[derive(Clone, Copy, Debug)]
pub struct Schedules;

#[tonic::async_trait]
impl ScheduleService for Schedules {
    async fn create_schedule(
        &self,
        _: Request<CreateScheduleRequest>,
    ) -> Result<Response<CreateScheduleResponse>, Status> {
        Err(later("CreateSchedule"))
    }

    async fn get_schedule(
        &self,
        _: Request<GetScheduleRequest>,
    ) -> Result<Response<GetScheduleResponse>, Status> {
        Err(later("GetSchedule"))
    }

    async fn list_schedules(
        &self,
        _: Request<ListSchedulesRequest>,
    ) -> Result<Response<ListSchedulesResponse>, Status> {
        Err(later("ListSchedules"))
    }

    async fn update_schedule(
        &self,
        _: Request<UpdateScheduleRequest>,
    ) -> Result<Response<UpdateScheduleResponse>, Status> {
        Err(later("UpdateSchedule"))
    }

    async fn delete_schedule(
        &self,
        _: Request<DeleteScheduleRequest>,
    ) -> Result<Response<DeleteScheduleResponse>, Status> {
        Err(later("DeleteSchedule"))
    }

    async fn run_schedule(
        &self,
        _: Request<RunScheduleRequest>,
    ) -> Result<Response<RunScheduleResponse>, Status> {
        Err(later("RunSchedule"))
    }
}
