//! A schema service that reports what a test sets, and a gated service, both on real sockets. The
//! fake is also the service behind the gate: it has a unary and a streaming method.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use api::gate::v1::{
    ReadinessRequest, ReadinessResponse, readiness_service_client::ReadinessServiceClient,
};
use api::schema::v1::{
    schema_service_client::SchemaServiceClient,
    schema_service_server::{SchemaService, SchemaServiceServer},
    *,
};
use gate::{Builder, Gate};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Response, Status as RpcError,
    service::Routes,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

/// Bounds every wait; only a failing test reaches it.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// Without a reported state it is unavailable: its streams break and calls fail.
#[derive(Clone)]
pub(crate) struct FakeSchema {
    pub(crate) reported: watch::Sender<Option<SchemaState>>,
    pub(crate) dependents: Arc<Mutex<Vec<Dependent>>>,
    pub(crate) refuses_watch: Arc<AtomicBool>,
}

/// A state of the schema with the revisions 0001 to 0003.
pub(crate) fn state_at(revision: &str) -> SchemaState {
    let held = ["0001", "0002", "0003"];
    let pending: Vec<String> =
        held.iter().filter(|held| **held > revision).map(|held| held.to_string()).collect();
    let status = match revision {
        "" => Status::Empty,
        "0003" => Status::AtHead,
        _ => Status::Behind,
    };
    SchemaState {
        revision: revision.into(),
        head: "0003".into(),
        at_head: status == Status::AtHead,
        pending,
        status: status.into(),
        database_id: "db-1".into(),
        ..SchemaState::default()
    }
}

impl FakeSchema {
    pub(crate) fn report(&self, state: SchemaState) {
        self.reported.send_replace(Some(state));
    }

    pub(crate) fn stop_answering(&self) {
        self.reported.send_replace(None);
    }

    pub(crate) fn reporting(state: SchemaState) -> Self {
        Self {
            reported: watch::Sender::new(Some(state)),
            dependents: Arc::default(),
            refuses_watch: Arc::default(),
        }
    }
}

fn unavailable() -> RpcError {
    RpcError::unavailable("the fake does not answer")
}

type States<T> = Pin<Box<dyn Stream<Item = Result<T, RpcError>> + Send>>;

#[tonic::async_trait]
impl SchemaService for FakeSchema {
    async fn current(
        &self,
        _: Request<CurrentRequest>,
    ) -> Result<Response<CurrentResponse>, RpcError> {
        let state = self.reported.borrow().clone().ok_or_else(unavailable)?;
        Ok(Response::new(CurrentResponse { state: Some(state) }))
    }

    type WatchStream = States<WatchResponse>;
    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, RpcError> {
        if self.refuses_watch.load(Ordering::SeqCst) {
            return Err(RpcError::permission_denied("no streams allowed"));
        }
        self.dependents.lock().unwrap().extend(request.into_inner().dependent);
        let states = WatchStream::new(self.reported.subscribe()).map(|state| match state {
            Some(state) => Ok(WatchResponse { state: Some(state) }),
            None => Err(unavailable()),
        });
        Ok(Response::new(Box::pin(states)))
    }

    type UpgradeStream = States<UpgradeResponse>;
    async fn upgrade(
        &self,
        _: Request<UpgradeRequest>,
    ) -> Result<Response<Self::UpgradeStream>, RpcError> {
        Err(RpcError::unimplemented("fake"))
    }

    type DowngradeStream = States<DowngradeResponse>;
    async fn downgrade(
        &self,
        _: Request<DowngradeRequest>,
    ) -> Result<Response<Self::DowngradeStream>, RpcError> {
        Err(RpcError::unimplemented("fake"))
    }

    async fn plan(&self, _: Request<PlanRequest>) -> Result<Response<PlanResponse>, RpcError> {
        Err(RpcError::unimplemented("fake"))
    }

    async fn list_revisions(
        &self,
        _: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, RpcError> {
        Err(RpcError::unimplemented("fake"))
    }

    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, RpcError> {
        Err(RpcError::unimplemented("fake"))
    }

    async fn verify(
        &self,
        _: Request<VerifyRequest>,
    ) -> Result<Response<VerifyResponse>, RpcError> {
        Err(RpcError::unimplemented("fake"))
    }

    async fn stamp(&self, _: Request<StampRequest>) -> Result<Response<StampResponse>, RpcError> {
        Err(RpcError::unimplemented("fake"))
    }

    async fn repair(
        &self,
        _: Request<RepairRequest>,
    ) -> Result<Response<RepairResponse>, RpcError> {
        Err(RpcError::unimplemented("fake"))
    }
}

/// A server on a free loopback port. Dropping it closes every connection.
pub(crate) struct Served {
    pub(crate) url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(routes: Routes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, routes)
    }

    pub(crate) fn start_on(listener: TcpListener, routes: Routes) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().add_routes(routes);
        let serving = server.serve_with_incoming(TcpIncoming::from(listener));
        Self { url, task: tokio::spawn(async move { serving.await.unwrap() }) }
    }

    pub(crate) async fn schema(fake: &FakeSchema) -> Self {
        Self::start(Routes::new(SchemaServiceServer::new(fake.clone()))).await
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.url.clone()).unwrap().connect().await.unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The name of the service behind the gate.
pub(crate) const SERVICE_NAME: &str = "schema.v1.SchemaService";

/// A gated service, and clients of it.
pub(crate) struct GatedService {
    pub(crate) gate: Gate,
    pub(crate) calls: SchemaServiceClient<Channel>,
    pub(crate) health: HealthClient<Channel>,
    readiness: ReadinessServiceClient<Channel>,
    pub(crate) stopping: CancellationToken,
    _served: Served,
}

/// A gate with the schema service at `url`, as most tests need it.
pub(crate) fn gate_at(url: &str) -> Builder {
    let builder = Gate::builder("gated", url.to_owned()).unwrap();
    builder
        .requires("0002")
        .built_with("0003")
        .reports([SERVICE_NAME])
        .check_interval(Duration::from_millis(20))
}

impl GatedService {
    pub(crate) async fn start(builder: Builder) -> Self {
        let gate = builder.build().await;
        let behind = FakeSchema::reporting(state_at("0003"));
        let routes = Routes::new(gate.guard(SchemaServiceServer::new(behind)))
            .add_service(gate.health_service())
            .add_service(gate.readiness_service());
        let served = Served::start(routes).await;
        let channel = served.channel().await;
        let stopping = CancellationToken::new();
        tokio::spawn(gate.clone().run(stopping.clone()));
        Self {
            gate,
            calls: SchemaServiceClient::new(channel.clone()),
            health: HealthClient::new(channel.clone()),
            readiness: ReadinessServiceClient::new(channel),
            stopping,
            _served: served,
        }
    }

    /// Makes one call of the gated service.
    pub(crate) async fn call(&self) -> Result<(), RpcError> {
        self.calls.clone().current(CurrentRequest {}).await.map(drop)
    }

    pub(crate) async fn opened(&self) {
        tokio::time::timeout(WAIT_LIMIT, self.gate.opened()).await.expect("the gate opens");
    }

    pub(crate) async fn closed(&self) {
        tokio::time::timeout(WAIT_LIMIT, self.gate.closed()).await.expect("the gate closes");
    }

    /// Waits by grpc.health.v1's Watch until a service is healthy, or is not.
    pub(crate) async fn wait_for_health(&self, service: &str, is_healthy: bool) {
        let request = HealthCheckRequest { service: service.into() };
        let mut statuses = self.health.clone().watch(request).await.unwrap().into_inner();
        let wanted = if is_healthy { 1 } else { 2 };
        let reached = async {
            while statuses.message().await.unwrap().expect("a status").status != wanted {}
        };
        tokio::time::timeout(WAIT_LIMIT, reached).await.expect("the health changes");
    }

    /// gate.v1's Readiness.
    pub(crate) async fn readiness(&self) -> ReadinessResponse {
        self.readiness.clone().readiness(ReadinessRequest {}).await.unwrap().into_inner()
    }

    /// Calls Readiness until a proof's evidence contains `text`.
    pub(crate) async fn wait_for_evidence(&self, proof: &str, text: &str) -> ReadinessResponse {
        let mut last = None;
        let polling = async {
            loop {
                let answer = self.readiness().await;
                if answer
                    .proofs
                    .iter()
                    .any(|checked| checked.name == proof && checked.evidence.contains(text))
                {
                    return answer;
                }
                last = Some(answer);
            }
        };
        let found = tokio::time::timeout(WAIT_LIMIT, polling).await;
        found.unwrap_or_else(|_| panic!("no evidence of {proof} contains {text:?}: {last:?}"))
    }
}

/// The reason of a refusal.
pub(crate) fn reason(refused: &RpcError) -> String {
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    refused.get_details_error_info().expect("ErrorInfo").reason
}
