//! The gate, as the host uses it.

use std::{sync::Arc, time::Duration};

use api::gate::v1::{ReadinessResponse, readiness_service_server::ReadinessServiceServer};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic_health::pb::health_server::HealthServer;
use tower::Layer as _;

use crate::{
    evaluator,
    health::ProbedHealth,
    inner::Inner,
    layer::{GateLayer, Gated},
    readiness::GateReadiness,
    refusal::Refusal,
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

    /// Decides on one call, for a server that is not made of tower services. While the gate is
    /// revalidating, this waits for the result.
    ///
    /// # Errors
    /// The gate is closed: the refusal to answer with, which is counted.
    pub async fn admit(&self) -> Result<(), Status> {
        let state = &self.inner.state;
        if state.allows_calls() { Ok(()) } else { state.admit().await }
    }

    /// Answers a readiness probe that did not come by [`health_service`](Self::health_service), such
    /// as `GET /readyz`. [`shutdown`](Self::shutdown) counts it as one.
    ///
    /// # Errors
    /// The gate is closed, or a shutdown has begun.
    pub async fn probe(&self) -> Result<(), Status> {
        let refusal = if self.inner.health.is_shutting_down().await {
            Some(Refusal::shutting_down().status)
        } else {
            self.refusal()
        };
        self.inner.health.record_probe(refusal.is_some());
        refusal.map_or(Ok(()), Err)
    }

    /// The error that calls are refused with now, which is not counted; None while the gate is open.
    pub fn refusal(&self) -> Option<Status> {
        self.inner.state.report().refusal().map(|refusal| refusal.status.clone())
    }

    /// The gate's report, as [`readiness_service`](Self::readiness_service) answers it.
    pub fn readiness(&self) -> ReadinessResponse {
        self.inner.readiness()
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
