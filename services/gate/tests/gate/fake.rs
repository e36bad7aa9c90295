//! A schema service that says what a test tells it to, on a real socket; and a gated service
//! beside it. The fake doubles as the service behind the gate: it has a unary and a streaming
//! method, which is all that matters there.

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
    Code, Request, Response, Status as Refused,
    service::Routes,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

/// Bounds every wait: nothing here takes that long unless it is broken.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The fake's memory: what it says, and who watched. While it says nothing it is away: its
/// streams break, and nothing is answered.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) says: watch::Sender<Option<SchemaState>>,
    pub(crate) dependents: Arc<Mutex<Vec<Dependent>>>,
    pub(crate) unwatchable: Arc<AtomicBool>,
}

/// A state of the schema with the revisions 0001 to 0003.
pub(crate) fn at(revision: &str) -> SchemaState {
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

impl Fake {
    pub(crate) fn say(&self, state: SchemaState) {
        self.says.send_replace(Some(state));
    }

    pub(crate) fn go_away(&self) {
        self.says.send_replace(None);
    }

    pub(crate) fn saying(state: SchemaState) -> Self {
        Self {
            says: watch::Sender::new(Some(state)),
            dependents: Arc::default(),
            unwatchable: Arc::default(),
        }
    }
}

fn away() -> Refused {
    Refused::unavailable("the fake is away")
}

type States<T> = Pin<Box<dyn Stream<Item = Result<T, Refused>> + Send>>;

#[tonic::async_trait]
impl SchemaService for Fake {
    async fn current(
        &self,
        _: Request<CurrentRequest>,
    ) -> Result<Response<CurrentResponse>, Refused> {
        let state = self.says.borrow().clone().ok_or_else(away)?;
        Ok(Response::new(CurrentResponse { state: Some(state) }))
    }

    type WatchStream = States<WatchResponse>;
    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Refused> {
        if self.unwatchable.load(Ordering::SeqCst) {
            return Err(Refused::permission_denied("no streams here"));
        }
        self.dependents.lock().unwrap().extend(request.into_inner().dependent);
        let told = WatchStream::new(self.says.subscribe()).map(|state| match state {
            Some(state) => Ok(WatchResponse { state: Some(state) }),
            None => Err(away()),
        });
        Ok(Response::new(Box::pin(told)))
    }

    type UpgradeStream = States<UpgradeResponse>;
    async fn upgrade(
        &self,
        _: Request<UpgradeRequest>,
    ) -> Result<Response<Self::UpgradeStream>, Refused> {
        Err(Refused::unimplemented("fake"))
    }

    type DowngradeStream = States<DowngradeResponse>;
    async fn downgrade(
        &self,
        _: Request<DowngradeRequest>,
    ) -> Result<Response<Self::DowngradeStream>, Refused> {
        Err(Refused::unimplemented("fake"))
    }

    async fn plan(&self, _: Request<PlanRequest>) -> Result<Response<PlanResponse>, Refused> {
        Err(Refused::unimplemented("fake"))
    }

    async fn list_revisions(
        &self,
        _: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Refused> {
        Err(Refused::unimplemented("fake"))
    }

    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Refused> {
        Err(Refused::unimplemented("fake"))
    }

    async fn verify(&self, _: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Refused> {
        Err(Refused::unimplemented("fake"))
    }

    async fn stamp(&self, _: Request<StampRequest>) -> Result<Response<StampResponse>, Refused> {
        Err(Refused::unimplemented("fake"))
    }

    async fn repair(&self, _: Request<RepairRequest>) -> Result<Response<RepairResponse>, Refused> {
        Err(Refused::unimplemented("fake"))
    }
}

/// Serves on a free loopback port until the token is cancelled; dropping it cuts every connection.
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

    pub(crate) async fn fake(fake: &Fake) -> Self {
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
pub(crate) const GATED: &str = "schema.v1.SchemaService";

/// A gated service, and the clients to look at it from outside.
pub(crate) struct Gated {
    pub(crate) gate: Gate,
    pub(crate) calls: SchemaServiceClient<Channel>,
    pub(crate) health: HealthClient<Channel>,
    readiness: ReadinessServiceClient<Channel>,
    pub(crate) stopping: CancellationToken,
    _served: Served,
}

/// A gate that asks at `url`, as most tests want it.
pub(crate) fn asking(url: &str) -> Builder {
    let builder = Gate::builder("toy", url.to_owned()).unwrap();
    builder
        .requires("0002")
        .built_with("0003")
        .reports([GATED])
        .look_every(Duration::from_millis(20))
}

impl Gated {
    pub(crate) async fn start(builder: Builder) -> Self {
        let gate = builder.build().await;
        let behind = Fake::saying(at("0003"));
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

    /// One call of the gated service.
    pub(crate) async fn call(&self) -> Result<(), Refused> {
        self.calls.clone().current(CurrentRequest {}).await.map(drop)
    }

    pub(crate) async fn opened(&self) {
        tokio::time::timeout(SOON, self.gate.opened()).await.expect("the gate opens");
    }

    pub(crate) async fn closed(&self) {
        tokio::time::timeout(SOON, self.gate.closed()).await.expect("the gate closes");
    }

    /// Waits until a service's health is as wanted, through grpc.health.v1's Watch.
    pub(crate) async fn healthy(&self, service: &str, wanted: bool) {
        let request = HealthCheckRequest { service: service.into() };
        let mut told = self.health.clone().watch(request).await.unwrap().into_inner();
        let wanted = if wanted { 1 } else { 2 };
        let reached = async {
            while told.message().await.unwrap().expect("health goes on").status != wanted {}
        };
        tokio::time::timeout(SOON, reached).await.expect("the health is told");
    }

    /// gate.v1's Readiness.
    pub(crate) async fn readiness(&self) -> ReadinessResponse {
        self.readiness.clone().readiness(ReadinessRequest {}).await.unwrap().into_inner()
    }

    /// Asks for Readiness until a proof's evidence holds some words.
    pub(crate) async fn evidence(&self, proof: &str, words: &str) -> ReadinessResponse {
        let mut last = None;
        let asking = async {
            loop {
                let answer = self.readiness().await;
                if answer
                    .proofs
                    .iter()
                    .any(|told| told.name == proof && told.evidence.contains(words))
                {
                    return answer;
                }
                last = Some(answer);
            }
        };
        let told = tokio::time::timeout(SOON, asking).await;
        told.unwrap_or_else(|_| panic!("{proof} never said {words:?}: {last:?}"))
    }
}

/// The reason of a refusal.
pub(crate) fn reason(refused: &Refused) -> String {
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    refused.get_details_error_info().expect("ErrorInfo").reason
}
