//! A gate for tonic services: it passes calls while the database has the schema that the service
//! was built for, and otherwise refuses them with the reason and what to do.
//!
//! ```no_run
//! # async fn serve<S>(service: S, stopping: tokio_util::sync::CancellationToken)
//! # -> Result<(), Box<dyn std::error::Error>>
//! # where S: tower::Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>, Error = std::convert::Infallible>
//! #   + tonic::server::NamedService + Clone + Send + Sync + 'static, S::Future: Send {
//! let gate = gate::Gate::builder("chat", "http://127.0.0.1:50051")?
//!     .requires("0002")
//!     .built_with("0003")
//!     .reports(["chat.v1.ChatService"])
//!     .build()
//!     .await;
//! tokio::spawn(gate.clone().run(stopping.clone()));
//! tonic::transport::Server::builder()
//!     .add_service(gate.guard(service))
//!     .add_service(gate.health_service())
//!     .serve_with_shutdown("127.0.0.1:50052".parse()?, stopping.cancelled_owned())
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! Only services that are wrapped by [`Gate::guard`] or [`Gate::layer`] are gated; add health,
//! reflection and readiness without it. A host with a database provides two proofs of its own,
//! [`Builder::database`] and [`Builder::models`], and calls [`Gate::report_undefined`] when a query
//! failed by an undefined column or table. `examples/greeter.rs` is a whole service. `docs/GATE.md`
//! describes the reasons, the probes and the metrics.
//!
//! How it works: one task ([`Gate::run`]) keeps a Watch on the schema service open and calls
//! Current at intervals, which gives the view of the schema. On every change the evaluator decides
//! by that view and checks the host's proofs. The layer reads the verdict from one atomic flag.

mod builder;
mod decide;
mod evaluation;
mod evaluator;
mod health;
mod layer;
mod message;
mod metrics;
mod proof;
mod readiness;
mod refusal;
mod schema_client;
mod state;
mod stream;
mod timestamped;
mod view;

use std::{sync::Arc, time::Duration};

use api::{gate::v1::readiness_service_server::ReadinessServiceServer, schema::v1::Dependent};
use tokio_util::sync::CancellationToken;
use tonic::transport::{self, Endpoint};
use tonic_health::pb::health_server::HealthServer;
use tower::Layer as _;

pub use builder::Builder;
pub use health::{LIVENESS, ProbedHealth};
pub use layer::{GateLayer, Gated};
pub use proof::ProofError;
pub use readiness::GateReadiness;

/// What a gate needs of the schema. Pending revisions close no gate in either mode.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// To open: the schema is at head. To open and to stay open: the built-with revision is
    /// applied.
    #[default]
    Head,
    /// To open and to stay open: the required revision is applied.
    Required,
}

/// A gate. Clones share one state.
#[derive(Clone, Debug)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Arc<state::State>,
    health: health::HealthPublisher,
    schema: schema_client::SchemaClient,
    /// The schema service's address, for messages.
    address: String,
    dependent: Dependent,
    requirements: decide::Requirements,
    check_interval: Duration,
    proofs: proof::HostProofs,
}

impl Gate {
    /// Starts to build a gate for `service`, such as `chat`, with the schema service at `endpoint`,
    /// such as `http://127.0.0.1:50051`.
    ///
    /// # Errors
    /// The endpoint is not a URL.
    pub fn builder<E>(service: &str, endpoint: E) -> Result<Builder, transport::Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Ok(Builder::new(service, Endpoint::new(endpoint)?))
    }

    /// Watches the schema and opens and closes the gate until `stopping`, and then deregisters at
    /// the schema service. Spawn it. The gate is closed when this has returned.
    pub async fn run(self, stopping: CancellationToken) {
        let gate = &*self.inner;
        tokio::select! {
            () = evaluator::run(gate, &stopping) => {}
            () = gate.schema.keep_watching(&gate.dependent) => {}
        }
        gate.state.shut_down();
        gate.health.publish(false).await;
    }

    /// Prepares a shutdown that loses no call. Await it between the signal and the server's own
    /// graceful shutdown, and end [`Gate::run`] after that.
    ///
    /// Health becomes NOT_SERVING. When enough probes have read it ([`Builder::probe_failures`]),
    /// or after `notice`, new calls are refused, and [`Gate::while_open`] streams and health's
    /// Watch streams end. Without probes in the last minute there is no wait.
    pub async fn shutdown(&self, notice: Duration) {
        let gate = &*self.inner;
        gate.health.announce_shutdown(notice).await;
        gate.state.shut_down();
        gate.health.end_watches().await;
    }

    /// The layer that puts a service behind the gate.
    pub fn layer(&self) -> GateLayer {
        GateLayer::new(Arc::clone(&self.inner.state))
    }

    /// Puts a service behind the gate.
    pub fn guard<S>(&self, service: S) -> Gated<S> {
        self.layer().layer(service)
    }

    /// The grpc.health.v1 service. Add it to the server without a guard.
    pub fn health_service(&self) -> HealthServer<ProbedHealth> {
        self.inner.health.service()
    }

    /// The gate.v1.ReadinessService. Add it to the server without a guard.
    pub fn readiness_service(&self) -> ReadinessServiceServer<GateReadiness> {
        ReadinessServiceServer::new(GateReadiness::new(Arc::clone(&self.inner)))
    }

    /// Whether calls pass.
    pub fn is_open(&self) -> bool {
        self.inner.state.report().is_open()
    }

    /// Waits until the gate is open, for work outside of calls.
    pub async fn opened(&self) {
        // The sender lives as long as the gate, so that waiting cannot fail.
        let _ = self.inner.state.subscribe().wait_for(|report| report.is_open()).await;
    }

    /// Waits until the gate is closed.
    pub async fn closed(&self) {
        let _ = self.inner.state.subscribe().wait_for(|report| !report.is_open()).await;
    }

    /// Reports that a query failed by an undefined column or table. The next calls wait until the
    /// gate has been evaluated again.
    pub fn report_undefined(&self) {
        self.inner.state.report_fault();
    }
}
