//! The RPCs: validate, convert, call, reply.

mod lease;
mod pages;
mod problem;
mod validate;
mod watch;

use std::{pin::Pin, sync::Arc};

use access::actor;
use api::schema::v1::{
    CurrentRequest, CurrentResponse, DowngradeRequest, DowngradeResponse, Event,
    ListOperationsRequest, ListOperationsResponse, ListRevisionsRequest, ListRevisionsResponse,
    PlanRequest, PlanResponse, RepairRequest, RepairResponse, StampRequest, StampResponse,
    UpgradeRequest, UpgradeResponse, VerifyRequest, VerifyResponse, WatchRequest, WatchResponse,
    plan_request, schema_service_server::SchemaService,
};
use futures_util::{Stream, StreamExt as _, stream};
use revisions::{Direction, Target};
use tokio_util::sync::CancellationToken;
use tonic::{Extensions, Request, Response, Status};
use uuid::Uuid;
use wire::Problem;

use crate::{
    observer::{Observer, ReadError},
    operations::{self, DEFAULT_LOCK_TIMEOUT, DEFAULT_WAIT, OperationError, Operations},
    plan::{self, PlanError},
};

use lease::Lease;
use problem::{logged, status};
use validate::{
    downgrade_target, duration, repair_revision, require_admin_for_force, stamp_revision,
    upgrade_target,
};

/// The schema service.
pub struct Service {
    observer: Arc<Observer>,
    operations: Arc<Operations>,
    shutdown: CancellationToken,
    /// The name of this server as the holder of leases.
    id: String,
}

type Streaming<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What an Upgrade and a Downgrade have in common.
struct Move {
    direction: Direction,
    target: Target,
    expected_current: Option<String>,
    force: bool,
    allow_data_loss: bool,
    plan_digest: String,
    wait: Option<prost_types::Duration>,
    lock_timeout: Option<prost_types::Duration>,
}

impl Service {
    /// A service that ends its Watches at `shutdown`.
    pub fn new(
        observer: Arc<Observer>,
        operations: Arc<Operations>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { observer, operations, shutdown, id: Uuid::now_v7().to_string() }
    }

    /// Starts or joins an operation, and streams its events as responses.
    async fn start<T: Send + 'static>(
        &self,
        request: Move,
        extensions: &Extensions,
        response: impl Fn(Event) -> T + Send + 'static,
    ) -> Result<Response<Streaming<T>>, Status> {
        let wait = duration("wait", request.wait, DEFAULT_WAIT)?;
        let lock_timeout = duration("lock_timeout", request.lock_timeout, DEFAULT_LOCK_TIMEOUT)?;
        let operation = operations::Request {
            direction: request.direction,
            target: request.target,
            expected_current: request.expected_current,
            force: request.force,
            lock_timeout,
            allow_data_loss: request.allow_data_loss,
            plan_digest: request.plan_digest,
            actor: actor(extensions).into(),
        };
        let events = self.operations.start(operation, wait).await.map_err(status)?;
        let responses = events.map(move |event| event.map(&response).map_err(status));
        Ok(Response::new(Box::pin(responses)))
    }
}

#[tonic::async_trait]
impl SchemaService for Service {
    async fn current(
        &self,
        _: Request<CurrentRequest>,
    ) -> Result<Response<CurrentResponse>, Status> {
        let state = self.observer.current().await.map_err(logged)?;
        Ok(Response::new(CurrentResponse { state: Some(state) }))
    }

    type WatchStream = Streaming<WatchResponse>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let lease = match request.into_inner().dependent {
            Some(dependent) => {
                validate::dependent(&dependent)?;
                Some(Lease::take(&self.observer, dependent, &self.id, &self.shutdown).await)
            }
            None => None,
        };
        let responses = watch::responses(&self.observer, lease).await.map_err(logged)?;
        let shutdown = self.shutdown.clone().cancelled_owned();
        let end = async { Err(status(OperationError::Shutdown("watch another replica".into()))) };
        let responses = responses.take_until(shutdown).chain(stream::once(end));
        Ok(Response::new(Box::pin(responses)))
    }

    type UpgradeStream = Streaming<UpgradeResponse>;

    async fn upgrade(
        &self,
        request: Request<UpgradeRequest>,
    ) -> Result<Response<Self::UpgradeStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        require_admin_for_force(&extensions, request.force, request.allow_data_loss)?;
        let request = Move {
            direction: Direction::Up,
            target: upgrade_target(&request.target)?,
            expected_current: request.expected_current,
            force: request.force,
            allow_data_loss: request.allow_data_loss,
            plan_digest: request.plan_digest,
            wait: request.wait,
            lock_timeout: request.lock_timeout,
        };
        self.start(request, &extensions, |event| UpgradeResponse { event: Some(event) }).await
    }

    type DowngradeStream = Streaming<DowngradeResponse>;

    async fn downgrade(
        &self,
        request: Request<DowngradeRequest>,
    ) -> Result<Response<Self::DowngradeStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let request = Move {
            direction: Direction::Down,
            target: downgrade_target(&request.target)?,
            expected_current: request.expected_current,
            force: request.force,
            allow_data_loss: request.allow_data_loss,
            plan_digest: request.plan_digest,
            wait: request.wait,
            lock_timeout: request.lock_timeout,
        };
        self.start(request, &extensions, |event| DowngradeResponse { event: Some(event) }).await
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let (direction, target) = match request.into_inner().direction {
            None => (Direction::Up, Target::Head),
            Some(plan_request::Direction::UpgradeTo(to)) => (Direction::Up, upgrade_target(&to)?),
            Some(plan_request::Direction::DowngradeTo(to)) => {
                (Direction::Down, downgrade_target(&to)?)
            }
        };
        let plan = plan::describe(&self.observer, direction, &target).await;
        if let Err(PlanError::Read(error)) = &plan {
            tracing::warn!(error = wire::error_chain(error), "cannot read the database");
        }
        Ok(Response::new(plan.map_err(status)?))
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Status> {
        pages::revisions(&self.observer, request.get_ref()).await.map(Response::new).map_err(status)
    }

    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        pages::operations(&self.observer, request.get_ref())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn verify(&self, _: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        let unavailable = |error| logged(ReadError::from(error));
        let mut connection = self.observer.connection().await.map_err(unavailable)?;
        let held = self.observer.revisions();
        let drift = self.observer.inspector().verify(&mut connection, held).await;
        drop(connection);
        let drift = drift.map_err(status)?;
        self.observer.notify_changed();
        Ok(Response::new(VerifyResponse { drift: Some(drift) }))
    }

    async fn stamp(
        &self,
        request: Request<StampRequest>,
    ) -> Result<Response<StampResponse>, Status> {
        let (_, extensions, StampRequest { revision, force }) = request.into_parts();
        require_admin_for_force(&extensions, force, false)?;
        let revision = stamp_revision(&revision, self.observer.revisions())?;
        let state = self.operations.stamp(&revision, force, actor(&extensions)).await;
        Ok(Response::new(StampResponse { state: Some(state.map_err(failed)?) }))
    }

    async fn repair(
        &self,
        request: Request<RepairRequest>,
    ) -> Result<Response<RepairResponse>, Status> {
        let (_, extensions, RepairRequest { revision }) = request.into_parts();
        repair_revision(&revision)?;
        let state = self.operations.repair(&revision, actor(&extensions)).await;
        Ok(Response::new(RepairResponse { state: Some(state.map_err(failed)?) }))
    }
}

/// The answer to a Stamp or a Repair, which run within their call.
fn failed(error: OperationError) -> Status {
    error.log();
    status(error)
}

/// The message of an error as a client reads it.
pub fn message(error: OperationError) -> String {
    Problem::from(error).message().into()
}
