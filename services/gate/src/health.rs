//! grpc.health.v1: `""` and the gated services tell readiness, `liveness` that the process lives.

use std::{mem, time::Duration};

use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout},
};
use tonic::{Request, Response, Status};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse,
        health_server::{Health, HealthServer},
    },
    server::{HealthReporter, HealthService, WatchStream},
};

/// The name that is SERVING while the process lives, for liveness probes.
pub const LIVENESS: &str = "liveness";

/// Whoever asked within this time asks regularly.
const PROBE_PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Readiness {
    reporter: HealthReporter,
    /// The names that tell readiness.
    names: Vec<String>,
    /// What was told last: setting an unchanged status wakes every watcher.
    told: Mutex<Told>,
    /// When readiness was last asked for.
    probed: watch::Sender<Option<Instant>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Ready,
    Unready,
    /// For good.
    Ending,
}

impl Readiness {
    /// NOT_SERVING from the first moment; tonic's own default for `""` is SERVING.
    pub(crate) async fn new(services: Vec<String>) -> Self {
        let reporter = HealthReporter::new();
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let names = [String::new()].into_iter().chain(services).collect();
        let readiness = Self {
            reporter,
            names,
            told: Mutex::new(Told::Unready),
            probed: watch::Sender::default(),
        };
        readiness.set_all(ServingStatus::NotServing).await;
        readiness
    }

    pub(crate) async fn set(&self, ready: bool) {
        let (told, status) = if ready {
            (Told::Ready, ServingStatus::Serving)
        } else {
            (Told::Unready, ServingStatus::NotServing)
        };
        let mut last = self.told.lock().await;
        if *last != told && *last != Told::Ending {
            *last = told;
            self.set_all(status).await;
        }
    }

    /// NOT_SERVING for good; ends when a prober has read it, after `limit` at the latest. Where
    /// nobody probes, nobody is waited for.
    pub(crate) async fn end(&self, limit: Duration) {
        let mut probes = self.probed.subscribe();
        {
            let mut told = self.told.lock().await;
            let was = mem::replace(&mut *told, Told::Ending);
            if was != Told::Ready {
                // They have read it.
                return;
            }
            self.set_all(ServingStatus::NotServing).await;
        }
        let asked = *probes.borrow_and_update();
        if asked.is_some_and(|at| at.elapsed() < PROBE_PERIOD) {
            // The sender is `self`: only time can end this without a probe.
            let _ = timeout(limit, probes.changed()).await;
        }
    }

    /// Ends every open Watch, which would hold up the server's end. Check answers as before.
    pub(crate) async fn hang_up(&self) {
        let mut reporter = self.reporter.clone();
        for name in self.names.iter().map(String::as_str).chain([LIVENESS]) {
            reporter.clear_service_status(name).await;
        }
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        self.set_all(ServingStatus::NotServing).await;
    }

    async fn set_all(&self, status: ServingStatus) {
        for name in &self.names {
            self.reporter.set_service_status(name, status).await;
        }
    }

    pub(crate) fn service(&self) -> HealthServer<Checks> {
        let inner = HealthService::from_health_reporter(self.reporter.clone());
        HealthServer::new(Checks { inner, probed: self.probed.clone() })
    }
}

/// tonic's health service, and a note of when readiness was asked for.
#[derive(Debug)]
pub struct Checks {
    inner: HealthService,
    probed: watch::Sender<Option<Instant>>,
}

#[tonic::async_trait]
impl Health for Checks {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let readiness = request.get_ref().service != LIVENESS;
        let answer = self.inner.check(request).await;
        if readiness {
            self.probed.send_replace(Some(Instant::now()));
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
