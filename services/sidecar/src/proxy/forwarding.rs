//! One request on its way to the upstream and back.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use gate::Gate;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tower::{Service, service_fn};
use transport::Peer;
use wire::error_chain;

use super::{body::GatedBody, headers, upgrade, upstream::UpstreamClient};
use crate::problem::{self, is_grpc};

const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What every request shares.
pub(super) struct Forwarding {
    pub(super) gate: Gate,
    pub(super) upstream: UpstreamClient,
    /// One for each further request that may be in progress.
    pub(super) free_slots: Arc<Semaphore>,
    pub(super) limit: u32,
    /// When a connection that could not be made was last logged as a warning.
    pub(super) last_warning: Mutex<Option<Instant>>,
}

impl Forwarding {
    pub(super) fn into_service(
        self,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<Body>,
        Error = Infallible,
        Future = BoxFuture<'static, Result<Response<Body>, Infallible>>,
    > + Clone
    + Send
    + 'static {
        let forwarding = Arc::new(self);
        service_fn(move |request: Request<Incoming>| {
            let forwarding = Arc::clone(&forwarding);
            let answer: BoxFuture<'static, Result<Response<Body>, Infallible>> =
                Box::pin(async move { Ok(forwarding.answer(request).await) });
            answer
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let is_grpc = is_grpc(request.headers());
        if request.method() == Method::CONNECT {
            // It asks for a tunnel to any address, which a reverse proxy does not make.
            return problem::method_not_allowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        if let Err(status) = self.gate.admit().await {
            return problem::response(status, StatusCode::SERVICE_UNAVAILABLE, is_grpc);
        }
        let Ok(slot) = Arc::clone(&self.free_slots).try_acquire_owned() else {
            let status = problem::too_many(self.limit);
            return problem::response(status, StatusCode::SERVICE_UNAVAILABLE, is_grpc);
        };
        self.forward(request, slot).await.unwrap_or_else(|error| {
            let upstream = self.upstream.upstream.to_string();
            let text = error_chain(&error);
            if error.is_connect() && self.is_warning_due() {
                tracing::warn!(upstream, error = text, "cannot connect to the upstream");
            } else {
                tracing::debug!(upstream, error = text, "upstream does not answer");
            }
            let status = problem::upstream_unreachable(&upstream, &text);
            problem::response(status, StatusCode::BAD_GATEWAY, is_grpc)
        })
    }

    /// One warning in a while: each request would repeat it.
    fn is_warning_due(&self) -> bool {
        let mut last = self.last_warning.lock();
        let is_due = last.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        slot: OwnedSemaphorePermit,
    ) -> Result<Response<Body>, hyper_util::client::legacy::Error> {
        let version = self.upstream.protocol.version(request.version());
        let upgrades_to =
            (version == Version::HTTP_11).then(|| headers::upgrade(request.headers())).flatten();
        let from_caller = upgrades_to.is_some().then(|| hyper::upgrade::on(&mut request));

        let (mut head, body) = request.into_parts();
        let host = headers::requested_host(&head.headers, &head.uri);
        headers::remove_hop_by_hop(&mut head.headers);
        if let Some(protocol) = upgrades_to {
            headers::set_upgrade(&mut head.headers, protocol);
        }
        if let Some(peer) = head.extensions.remove::<Peer>() {
            headers::set_forwarded(&mut head.headers, peer, host.clone());
        }
        headers::set_host(&mut head.headers, version, host);
        head.uri = self.upstream.uri(head.uri.path_and_query());
        head.version = version;
        // What the caller's connection keeps there is not the upstream's.
        head.extensions.clear();

        let mut response = self.upstream.send(Request::from_parts(head, Body::new(body))).await?;
        // The server sends the version of its own connection; it would pass an older one on.
        *response.version_mut() = Version::HTTP_11;
        match from_caller {
            Some(from_caller) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let upgrades_to = headers::upgrade(response.headers());
                let to_upstream = hyper::upgrade::on(&mut response);
                tokio::spawn(upgrade::carry(from_caller, to_upstream, self.gate.clone(), slot));
                headers::remove_hop_by_hop(response.headers_mut());
                if let Some(protocol) = upgrades_to {
                    headers::set_upgrade(response.headers_mut(), protocol);
                }
                Ok(response.map(|_| Body::default()))
            }
            _ => {
                headers::remove_hop_by_hop(response.headers_mut());
                Ok(GatedBody::wrap(response, self.gate.clone(), slot))
            }
        }
    }
}
