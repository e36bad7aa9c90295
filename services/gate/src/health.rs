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
        HealthCheckRequest, HealthCheckResponse, health_check_response,
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
    probed: watch::Sender<Probed>,
    /// How many probes must have read NOT_SERVING before the end goes on.
    failures: u64,
}

/// Who asked for readiness.
#[derive(Clone, Copy, Debug, Default)]
struct Probed {
    last: Option<Instant>,
    /// How many read NOT_SERVING.
    refused: u64,
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
    pub(crate) async fn new(services: Vec<String>, failures: u64) -> Self {
        let reporter = HealthReporter::new();
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let names = [String::new()].into_iter().chain(services).collect();
        let readiness = Self {
            reporter,
            names,
            told: Mutex::new(Told::Unready),
            probed: watch::Sender::default(),
            failures,
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

    /// NOT_SERVING for good; ends when probes have read it, after `limit` at the latest. Where
    /// nobody probes, nobody is waited for.
    pub(crate) async fn end(&self, limit: Duration) {
        let mut probes = self.probed.subscribe();
        let before = *probes.borrow();
        {
            let mut told = self.told.lock().await;
            let was = mem::replace(&mut *told, Told::Ending);
            if was != Told::Ready {
                // They have read it.
                return;
            }
            self.set_all(ServingStatus::NotServing).await;
        }
        if before.last.is_some_and(|at| at.elapsed() < PROBE_PERIOD) {
            let enough = before.refused + self.failures;
            // The sender is `self`: only time can end this without probes.
            let _ = timeout(limit, probes.wait_for(|probed| probed.refused >= enough)).await;
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

/// tonic's health service, and a note of who asked for readiness.
#[derive(Debug)]
pub struct Checks {
    inner: HealthService,
    probed: watch::Sender<Probed>,
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
            let refused = answer.as_ref().is_ok_and(|answer| {
                answer.get_ref().status() == health_check_response::ServingStatus::NotServing
            });
            self.probed.send_modify(|probed| {
                probed.last = Some(Instant::now());
                probed.refused += u64::from(refused);
            });
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
