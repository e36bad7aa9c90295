//! chat.v1.BotService, which a later build answers.

use std::pin::Pin;

use api::chat::v1::{
    AssignBotRequest, AssignBotResponse, CreateBotRequest, CreateBotResponse, DeleteBotRequest,
    DeleteBotResponse, GetBotRequest, GetBotResponse, ListAssignmentsRequest,
    ListAssignmentsResponse, ListBotsRequest, ListBotsResponse, UnassignBotRequest,
    UnassignBotResponse, UpdateBotRequest, UpdateBotResponse, WorkRequest, WorkResponse,
    bot_service_server::BotService,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::service::later;

/// chat.v1.BotService: not in this build.
#[derive(Clone, Copy, Debug)]
pub struct Bots;

#[tonic::async_trait]
impl BotService for Bots {
    type WorkStream = Pin<Box<dyn Stream<Item = Result<WorkResponse, Status>> + Send + 'static>>;

    async fn create_bot(
        &self,
        _: Request<CreateBotRequest>,
    ) -> Result<Response<CreateBotResponse>, Status> {
        Err(later("CreateBot"))
    }

    async fn get_bot(&self, _: Request<GetBotRequest>) -> Result<Response<GetBotResponse>, Status> {
        Err(later("GetBot"))
    }

    async fn list_bots(
        &self,
        _: Request<ListBotsRequest>,
    ) -> Result<Response<ListBotsResponse>, Status> {
        Err(later("ListBots"))
    }

    async fn update_bot(
        &self,
        _: Request<UpdateBotRequest>,
    ) -> Result<Response<UpdateBotResponse>, Status> {
        Err(later("UpdateBot"))
    }

    async fn delete_bot(
        &self,
        _: Request<DeleteBotRequest>,
    ) -> Result<Response<DeleteBotResponse>, Status> {
        Err(later("DeleteBot"))
    }

    async fn assign_bot(
        &self,
        _: Request<AssignBotRequest>,
    ) -> Result<Response<AssignBotResponse>, Status> {
        Err(later("AssignBot"))
    }

    async fn unassign_bot(
        &self,
        _: Request<UnassignBotRequest>,
    ) -> Result<Response<UnassignBotResponse>, Status> {
        Err(later("UnassignBot"))
    }

    async fn list_assignments(
        &self,
        _: Request<ListAssignmentsRequest>,
    ) -> Result<Response<ListAssignmentsResponse>, Status> {
        Err(later("ListAssignments"))
    }

    async fn work(
        &self,
        _: Request<Streaming<WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        Err(later("Work"))
    }
}
