//! What any tonic service adds to be gated: it serves on the schema that it was built for, and
//! refuses, with the reason and the way out, on any other.
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
//! Only what goes through [`Gate::guard`] or [`Gate::layer`] is gated; health, reflection and
//! readiness are added as they are. A host that has a database hands in two proofs of its own,
//! [`Builder::database`] and [`Builder::models`], and calls [`Gate::report_undefined`] when a query
//! met something undefined. `examples/greeter.rs` is a whole service; `docs/GATE.md` has the
//! reasons, the probes, the metrics, and how other languages do the same.
//!
//! How it works: one task ([`Gate::run`]) keeps a Watch on the schema service open and asks
//! Current now and then; the judge tries the proofs on every change and says open or closed; the
//! layer reads that from one atomic flag.

mod builder;
mod health;
mod judge;
mod layer;
mod look;
mod metrics;
mod moment;
mod proof;
mod readiness;
mod refusal;
mod schema;
mod state;
mod stream;

use std::{sync::Arc, time::Duration};

use api::{gate::v1::readiness_service_server::ReadinessServiceServer, schema::v1::Dependent};
use tokio_util::sync::CancellationToken;
use tonic::transport::{self, Endpoint};
use tonic_health::pb::health_server::HealthServer;
use tower::Layer as _;

pub use builder::Builder;
pub use health::{Checks, LIVENESS};
pub use layer::{GateLayer, Gated};
pub use proof::ProofError;
pub use readiness::Readiness;

/// What a gate needs of the schema. Revisions that are merely pending close neither.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// To open, that the schema is at head; to open and to stay open, that it holds the revision
    /// that the build was built with.
    #[default]
    Head,
    /// That the schema holds the oldest revision that the build can run on.
    Required,
}

/// A gate; its clones are the same one.
#[derive(Clone, Debug)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Arc<state::State>,
    health: health::Readiness,
    schema: schema::Schema,
    /// Where the schema service is, for words.
    address: String,
    dependent: Dependent,
    needs: proof::Needs,
    mode: Mode,
    look_every: Duration,
    max_staleness: Duration,
    proofs: proof::HostProofs,
}

impl Gate {
    /// Begins a gate for `service`, such as `chat`, that asks the schema service at `endpoint`,
    /// such as `http://127.0.0.1:50051`.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub fn builder<E>(service: &str, endpoint: E) -> Result<Builder, transport::Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Ok(Builder::new(service, Endpoint::new(endpoint)?))
    }

    /// Asks, watches, proves, opens and closes until `stopping`, which is the goodbye to the
    /// schema service: to be spawned by the host. The gate is closed when this has ended.
    pub async fn run(self, stopping: CancellationToken) {
        let gate = &*self.inner;
        tokio::select! {
            () = judge::judge(gate, &stopping) => {}
            () = gate.schema.follow(&gate.dependent) => {}
        }
        gate.state.end();
        gate.health.set(false).await;
    }

    /// The end without a lost call, up to where the server stops: to be awaited between the
    /// signal and the server's own graceful shutdown. Health says NOT_SERVING; when probes have
    /// read it ([`Builder::probe_failures`]), or `notice` has passed, new calls are refused, and
    /// [`Gate::while_open`] streams and health's Watches end. Let the server drain then, and end
    /// [`Gate::run`] after it.
    ///
    /// Nobody is waited for where nobody probes.
    pub async fn shutdown(&self, notice: Duration) {
        let gate = &*self.inner;
        gate.health.end(notice).await;
        gate.state.end();
        gate.health.hang_up().await;
    }

    /// The layer that gates what it wraps.
    pub fn layer(&self) -> GateLayer {
        GateLayer::new(Arc::clone(&self.inner.state))
    }

    /// A service behind the gate, to be added to a server.
    pub fn guard<S>(&self, service: S) -> Gated<S> {
        self.layer().layer(service)
    }

    /// grpc.health.v1, to be added to a server beside what is gated.
    pub fn health_service(&self) -> HealthServer<Checks> {
        self.inner.health.service()
    }

    /// gate.v1.ReadinessService, to be added likewise.
    pub fn readiness_service(&self) -> ReadinessServiceServer<Readiness> {
        ReadinessServiceServer::new(Readiness::new(Arc::clone(&self.inner)))
    }

    /// Whether calls pass.
    pub fn is_open(&self) -> bool {
        self.inner.state.report().is_open()
    }

    /// Ends when the gate is open: for work that no call asks for.
    pub async fn opened(&self) {
        // The sender lives as long as the gate.
        let _ = self.inner.state.subscribe().wait_for(|report| report.is_open()).await;
    }

    /// Ends when the gate is closed.
    pub async fn closed(&self) {
        let _ = self.inner.state.subscribe().wait_for(|report| !report.is_open()).await;
    }

    /// To be called when "undefined column" or "undefined table" came back from a query: the
    /// gate looks again before it lets the next call pass.
    pub fn report_undefined(&self) {
        self.inner.state.doubt();
    }
}
