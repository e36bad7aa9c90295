//! grpc.health.v1: readiness for `""` and the gated services, and `liveness` for the process.

use std::{mem, time::Duration};

use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout},
};
use tonic::{Request, Response, Status};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse, health_check_response,
        health_server::{Health, HealthServer},
    },
    server::{HealthReporter, HealthService, WatchStream},
};

/// The name that is SERVING while the process lives, for liveness probes.
pub const LIVENESS: &str = "liveness";

/// A prober whose last probe is older is taken to be gone.
const MAX_PROBE_PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct HealthPublisher {
    reporter: HealthReporter,
    /// The services whose health is the gate's.
    services: Vec<String>,
    /// Kept because setting an unchanged status wakes every watcher.
    published: Mutex<Published>,
    probes: watch::Sender<Probes>,
    /// How many probes must read NOT_SERVING before a shutdown goes on.
    probe_failures: u64,
}

/// Probes of readiness.
#[derive(Clone, Copy, Debug, Default)]
struct Probes {
    last: Option<Instant>,
    /// How many have read NOT_SERVING.
    failed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Published {
    Ready,
    NotReady,
    ShuttingDown,
}

impl HealthPublisher {
    /// NOT_SERVING from the start; tonic's own default for `""` is SERVING.
    pub(crate) async fn new(services: Vec<String>, probe_failures: u64) -> Self {
        let reporter = HealthReporter::new();
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let publisher = Self {
            reporter,
            services: [String::new()].into_iter().chain(services).collect(),
            published: Mutex::new(Published::NotReady),
            probes: watch::Sender::default(),
            probe_failures,
        };
        publisher.set_all(ServingStatus::NotServing).await;
        publisher
    }

    pub(crate) async fn publish(&self, is_ready: bool) {
        let (readiness, status) = match is_ready {
            true => (Published::Ready, ServingStatus::Serving),
            false => (Published::NotReady, ServingStatus::NotServing),
        };
        let mut published = self.published.lock().await;
        if *published != readiness && *published != Published::ShuttingDown {
            *published = readiness;
            self.set_all(status).await;
        }
    }

    /// Publishes NOT_SERVING for good; returns when enough probes have read it, or after `limit`.
    /// Returns immediately without a prober.
    pub(crate) async fn announce_shutdown(&self, limit: Duration) {
        let mut probes = self.probes.subscribe();
        let before = *probes.borrow();
        {
            let mut published = self.published.lock().await;
            let was = mem::replace(&mut *published, Published::ShuttingDown);
            if was != Published::Ready {
                // Probers have read NOT_SERVING already.
                return;
            }
            self.set_all(ServingStatus::NotServing).await;
        }
        if before.last.is_some_and(|at| at.elapsed() < MAX_PROBE_PERIOD) {
            let enough = before.failed + self.probe_failures;
            // Without enough probes the limit ends this.
            let _ = timeout(limit, probes.wait_for(|probes| probes.failed >= enough)).await;
        }
    }

    /// Ends every open Watch, which would delay the server's shutdown. Check answers as before.
    pub(crate) async fn end_watches(&self) {
        let mut reporter = self.reporter.clone();
        for service in self.services.iter().map(String::as_str).chain([LIVENESS]) {
            reporter.clear_service_status(service).await;
        }
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        self.set_all(ServingStatus::NotServing).await;
    }

    pub(crate) async fn is_shutting_down(&self) -> bool {
        *self.published.lock().await == Published::ShuttingDown
    }

    pub(crate) fn record_probe(&self, has_failed: bool) {
        record_probe(&self.probes, has_failed);
    }

    async fn set_all(&self, status: ServingStatus) {
        for service in &self.services {
            self.reporter.set_service_status(service, status).await;
        }
    }

    pub(crate) fn service(&self) -> HealthServer<ProbedHealth> {
        let inner = HealthService::from_health_reporter(self.reporter.clone());
        HealthServer::new(ProbedHealth { inner, probes: self.probes.clone() })
    }
}

fn record_probe(probes: &watch::Sender<Probes>, has_failed: bool) {
    probes.send_modify(|probes| {
        probes.last = Some(Instant::now());
        probes.failed += u64::from(has_failed);
    });
}

/// tonic's health service, with a count of the probes of readiness.
#[derive(Debug)]
pub struct ProbedHealth {
    inner: HealthService,
    probes: watch::Sender<Probes>,
}

#[tonic::async_trait]
impl Health for ProbedHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let is_readiness = request.get_ref().service != LIVENESS;
        let answer = self.inner.check(request).await;
        if is_readiness {
            let has_failed = answer.as_ref().is_ok_and(|answer| {
                answer.get_ref().status() == health_check_response::ServingStatus::NotServing
            });
            record_probe(&self.probes, has_failed);
        }
        answer
    }

    type WatchStream = WatchStream;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<WatchStream>, Status> {
        self.inner.watch(request).await
    }
}
