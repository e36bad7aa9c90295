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
mod gate;
mod health;
mod inner;
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

pub use builder::Builder;
pub use decide::Mode;
pub use gate::Gate;
pub use health::{LIVENESS, ProbedHealth};
pub use layer::{GateLayer, Gated};
pub use proof::ProofError;
pub use readiness::GateReadiness;
