//! The RPCs: validate, convert, call, reply.

use std::{pin::Pin, sync::Arc, time::Duration};

use access::{actor, require};
use api::Reason;
use api::schema::v1::{
    CurrentRequest, CurrentResponse, Dependent, DowngradeRequest, DowngradeResponse,
    ListOperationsRequest, ListOperationsResponse, ListRevisionsRequest, ListRevisionsResponse,
    PlanRequest, PlanResponse, RepairRequest, RepairResponse, SchemaState, StampRequest,
    StampResponse, UpgradeRequest, UpgradeResponse, VerifyRequest, VerifyResponse, WatchRequest,
    WatchResponse, plan_request, schema_service_server::SchemaService,
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Extensions, Request, Response, Status};
use uuid::Uuid;
use wire::{Problem, convert};

use crate::{
    access::ADMIN,
    engine::Direction,
    error::{OperationError, target_problem},
    lease::Lease,
    observer::Observer,
    operations::{self, LOCK_TIMEOUT, Operations, WAIT},
    pages, plan,
    target::{Target, TargetError},
};

/// The service.
pub struct Service {
    observer: Arc<Observer>,
    operations: Arc<Operations>,
    stopping: CancellationToken,
    /// Names this server among those that hold leases.
    id: String,
}

type Streaming<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// A service that ends its Watches at `stopping`.
    pub fn new(
        observer: Arc<Observer>,
        operations: Arc<Operations>,
        stopping: CancellationToken,
    ) -> Self {
        Self { observer, operations, stopping, id: Uuid::now_v7().to_string() }
    }

    async fn lease(&self, dependent: Dependent) -> Result<Lease, Status> {
        let named = [
            ("dependent.service", &dependent.service, true),
            ("dependent.instance", &dependent.instance, true),
            ("dependent.version", &dependent.version, false),
            ("dependent.requires", &dependent.requires, false),
            ("dependent.built_with", &dependent.built_with, false),
        ];
        for (field, value, required) in named {
            if (required && value.is_empty()) || value.contains('\0') || value.len() > 255 {
                let what = "a name of at most 255 bytes, without NUL";
                return Err(Problem::invalid(field, Reason::DependentInvalid, what).into());
            }
        }
        for (field, value, _) in &named[3..] {
            if value.len() > 50 || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                let what = "not a revision, such as 0002";
                return Err(Problem::invalid(field, Reason::DependentInvalid, what).into());
            }
        }
        Ok(Lease::take(&self.observer, dependent, &self.id, &self.stopping).await)
    }
}

type Watching<S> = (Pin<Box<S>>, Option<Lease>, Arc<Observer>);

/// The next state for a watcher. A dependent hears of a schema that was brought to head only once
/// it is registered, and then as it is since; and of itself alone. Where another tool brought it
/// there, nobody can register before the first operation, which waits for who watches.
async fn tell<S: Stream<Item = SchemaState>>(
    (mut states, mut lease, observer): Watching<S>,
) -> Option<(Result<WatchResponse, Status>, Watching<S>)> {
    let mut state = states.next().await?;
    if let Some(lease) = &mut lease {
        if state.at_head
            && state.epoch > 0
            && lease.settle().await
            && let Ok(since) = observer.current().await
        {
            state = since;
        }
        // Of all to all would be the square of their number, at every step of an operation.
        state.dependents.retain(|dependent| lease.is_of(dependent));
    }
    Some((Ok(WatchResponse { state: Some(state) }), (states, lease, observer)))
}

#[tonic::async_trait]
impl SchemaService for Service {
    async fn current(
        &self,
        _: Request<CurrentRequest>,
    ) -> Result<Response<CurrentResponse>, Status> {
        let state = self.observer.current().await?;
        Ok(Response::new(CurrentResponse { state: Some(state) }))
    }

    type WatchStream = Streaming<WatchResponse>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let lease = match request.into_inner().dependent {
            Some(dependent) => Some(self.lease(dependent).await?),
            None => None,
        };
        let observer = self.observer.clone();
        let watcher = observer.watch();
        // Read after the registration: what an operation did before it, is in it.
        let first = observer.current().await?;
        let states = stream::once(async { first })
            .chain(stream::unfold(watcher, async |mut watcher| {
                Some((watcher.next().await?, watcher))
            }));
        let responses = stream::unfold((Box::pin(states), lease, observer), tell);
        let stopped = self.stopping.clone().cancelled_owned();
        let end = || Err(OperationError::Stopping("another replica answers".into()).into());
        let end = stream::once(async move { end() });
        Ok(Response::new(Box::pin(responses.take_until(stopped).chain(end))))
    }

    type UpgradeStream = Streaming<UpgradeResponse>;

    async fn upgrade(
        &self,
        request: Request<UpgradeRequest>,
    ) -> Result<Response<Self::UpgradeStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        daring(&extensions, request.force, request.allow_data_loss)?;
        let wait = duration("wait", request.wait, WAIT)?;
        let operation = operations::Request {
            direction: Direction::Up,
            target: target(&request.target)?,
            expected_current: request.expected_current,
            force: request.force,
            lock_timeout: duration("lock_timeout", request.lock_timeout, LOCK_TIMEOUT)?,
            allow_data_loss: request.allow_data_loss,
            plan_digest: request.plan_digest,
            actor: actor(&extensions).into(),
        };
        let events = self.operations.start(operation, wait).await?;
        let responses =
            events.map(|event| event.map(|event| UpgradeResponse { event: Some(event) }));
        Ok(Response::new(Box::pin(responses)))
    }

    type DowngradeStream = Streaming<DowngradeResponse>;

    async fn downgrade(
        &self,
        request: Request<DowngradeRequest>,
    ) -> Result<Response<Self::DowngradeStream>, Status> {
        let actor = actor(request.extensions()).to_owned();
        let request = request.into_inner();
        let wait = duration("wait", request.wait, WAIT)?;
        let operation = operations::Request {
            direction: Direction::Down,
            target: downgrade_target(&request.target)?,
            expected_current: request.expected_current,
            force: request.force,
            lock_timeout: duration("lock_timeout", request.lock_timeout, LOCK_TIMEOUT)?,
            allow_data_loss: request.allow_data_loss,
            plan_digest: request.plan_digest,
            actor,
        };
        let events = self.operations.start(operation, wait).await?;
        let responses =
            events.map(|event| event.map(|event| DowngradeResponse { event: Some(event) }));
        Ok(Response::new(Box::pin(responses)))
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let (direction, target) = match request.into_inner().direction {
            None => (Direction::Up, Target::Head),
            Some(plan_request::Direction::UpgradeTo(to)) => (Direction::Up, target(&to)?),
            Some(plan_request::Direction::DowngradeTo(to)) => {
                (Direction::Down, downgrade_target(&to)?)
            }
        };
        let plan = plan::describe(&self.observer, direction, &target).await;
        if let Err(error @ OperationError::Unreachable { .. }) = &plan {
            tracing::warn!("nothing can be planned: {}", error.with_cause());
        }
        Ok(Response::new(plan?))
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Status> {
        pages::revisions(&self.observer, request.get_ref()).await.map(Response::new)
    }

    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        pages::operations(&self.observer, request.get_ref()).await.map(Response::new)
    }

    async fn verify(&self, _: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        let mut connection = self.observer.connection().await.map_err(OperationError::from)?;
        let line = self.observer.line();
        let drift = self.observer.inspector().verify(&mut connection, line).await?;
        drop(connection);
        self.observer.changed();
        Ok(Response::new(VerifyResponse { drift: Some(drift) }))
    }

    async fn stamp(
        &self,
        request: Request<StampRequest>,
    ) -> Result<Response<StampResponse>, Status> {
        let (_, extensions, StampRequest { revision, force }) = request.into_parts();
        daring(&extensions, force, false)?;
        if revision.is_empty() {
            let what = "required: name the revision that the database is at, or base";
            return Err(Problem::invalid("revision", Reason::RevisionRequired, what).into());
        }
        let stamped = revision.parse().and_then(|target| self.observer.line().stamp(&target));
        let revision = stamped.map_err(|error: TargetError| target_problem("revision", error))?;
        let state = self.operations.stamp(&revision, force, actor(&extensions)).await?;
        Ok(Response::new(StampResponse { state: Some(state) }))
    }

    async fn repair(
        &self,
        request: Request<RepairRequest>,
    ) -> Result<Response<RepairResponse>, Status> {
        let (_, extensions, RepairRequest { revision }) = request.into_parts();
        if revision.is_empty() {
            let what = "required: name the altered revision";
            return Err(Problem::invalid("revision", Reason::RevisionRequired, what).into());
        }
        let state = self.operations.repair(&revision, actor(&extensions)).await?;
        Ok(Response::new(RepairResponse { state: Some(state) }))
    }
}

/// Refuses the flags that may break a service or lose data to all but those who may go back.
fn daring(extensions: &Extensions, force: bool, allow_data_loss: bool) -> Result<(), Problem> {
    for (asked, field) in [(force, "force"), (allow_data_loss, "allow_data_loss")] {
        if asked {
            require(extensions, ADMIN, field)?;
        }
    }
    Ok(())
}

fn target(text: &str) -> Result<Target, Status> {
    text.parse().map_err(|error: TargetError| Problem::from(error).into())
}

/// Not the default of an Upgrade: a Downgrade without a target is an accident.
fn downgrade_target(text: &str) -> Result<Target, Status> {
    if text.is_empty() {
        let what = "required: say how far, as a revision, -N, or base";
        return Err(Problem::invalid("target", Reason::TargetRequired, what).into());
    }
    target(text)
}

/// A duration of the request, or the default. Zero is a value: it does not wait.
fn duration(
    field: &str,
    given: Option<prost_types::Duration>,
    default: Duration,
) -> Result<Duration, Status> {
    /// More than a year is a mistake, and would not fit what the databases take.
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    match given.map(convert::duration) {
        None => Ok(default),
        Some(Some(duration)) if duration <= LONGEST => Ok(duration),
        Some(_) => {
            let what = "not a duration between 0 and a year, such as \"10s\"";
            Err(Problem::invalid(field, Reason::DurationInvalid, what).into())
        }
    }
}
