//! The gate, as the host uses it.

use std::{sync::Arc, time::Duration};

use api::gate::v1::readiness_service_server::ReadinessServiceServer;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_server::HealthServer;
use tower::Layer as _;

use crate::{
    evaluator,
    health::ProbedHealth,
    inner::Inner,
    layer::{GateLayer, Gated},
    readiness::GateReadiness,
};

/// A gate. Clones share one state.
#[derive(Clone, Debug)]
pub struct Gate {
    pub(crate) inner: Arc<Inner>,
}

impl Gate {
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
    /// Health becomes NOT_SERVING. When enough probes have read it
    /// ([`probe_failures`](crate::Builder::probe_failures)), or after `notice`, new calls are
    /// refused, and [`Gate::while_open`] streams and health's Watch streams end. If no probe came in
    /// the last minute, it does not wait.
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
