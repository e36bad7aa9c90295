//! `GET /readyz`, `GET /livez` and `GET /metrics`.

use std::{convert::Infallible, sync::Arc};

use api::gate::v1::{Proof, ReadinessResponse};
use gate::Gate;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tonic::{
    body::Body,
    service::{AxumBody, Routes},
};
use tower::service_fn;
use transport::metrics::Exporter;

use crate::problem::{self, PROBLEM_JSON, is_grpc, json_response};

/// The proofs that a gate can make, in their order.
const PROOFS: [&str; 3] = ["schema", "database", "models"];

/// Adds the paths to gRPC routes. What neither has is not found: tonic would answer a mistyped
/// probe with HTTP's 200.
pub(crate) fn add_paths(routes: Routes, gate: &Gate, exporter: Exporter) -> Routes {
    let exporter = Arc::new(exporter);
    let ready = gate.clone();
    let ready = service_fn(move |request: Request<AxumBody>| {
        let gate = ready.clone();
        let method = request.method().clone();
        async move { Ok::<_, Infallible>(answer(&method, readiness(&gate)).await) }
    });
    let live = service_fn(|request: Request<AxumBody>| {
        let method = request.method().clone();
        let live = async { json_response(StatusCode::OK, "application/json", &json!({})) };
        async move { Ok::<_, Infallible>(answer(&method, live).await) }
    });
    let scrape = service_fn(move |request: Request<AxumBody>| {
        let exporter = Arc::clone(&exporter);
        let method = request.method().clone();
        async move { Ok::<_, Infallible>(answer(&method, exporter.scrape()).await) }
    });
    let unknown = service_fn(|request: Request<AxumBody>| {
        let refused = problem::unknown_path(request.uri().path(), is_grpc(request.headers()));
        async move { Ok::<_, Infallible>(refused) }
    });
    let router = routes
        .into_axum_router()
        .route_service("/readyz", ready)
        .route_service("/livez", live)
        .route_service("/metrics", scrape)
        .fallback_service(unknown);
    Routes::from(router)
}

/// Answers GET and HEAD.
async fn answer(method: &Method, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return answer.await;
    }
    problem::method_not_allowed("GET, HEAD")
}

async fn readiness(gate: &Gate) -> Response<Body> {
    let probe = gate.probe().await;
    let report = gate.readiness();
    match probe {
        Ok(()) => {
            let body = json!({
                "open": true,
                "requires": report.requires,
                "built_with": report.built_with,
                "proofs": proofs(&report),
            });
            json_response(StatusCode::OK, "application/json", &body)
        }
        Err(status) => {
            let http = StatusCode::SERVICE_UNAVAILABLE;
            let mut body = problem::details(&status, http);
            if let Some(body) = body.as_object_mut() {
                body.insert("proofs".into(), proofs(&report));
            }
            json_response(http, PROBLEM_JSON, &body)
        }
    }
}

/// Each proof by its name: `holds`, `fails`, `not checked` behind one that fails, or `not proven`
/// where nothing could make it.
fn proofs(report: &ReadinessResponse) -> Value {
    PROOFS
        .into_iter()
        .map(|name| {
            let proof = report.proofs.iter().find(|proof| proof.name == name);
            (name.to_owned(), Value::from(proof.map_or("not proven", verdict)))
        })
        .collect()
}

const fn verdict(proof: &Proof) -> &'static str {
    match (proof.checked_at.is_some(), proof.holds) {
        (false, _) => "not checked",
        (true, true) => "holds",
        (true, false) => "fails",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_nothing_makes_is_not_proven() {
        let proof = |name: &str, holds, is_checked: bool| Proof {
            name: name.into(),
            holds,
            checked_at: is_checked.then(Default::default),
            ..Proof::default()
        };
        let report = |proofs| ReadinessResponse { proofs, ..ReadinessResponse::default() };
        assert_eq!(
            proofs(&report(vec![proof("schema", true, true)])),
            json!({"schema": "holds", "database": "not proven", "models": "not proven"})
        );
        assert_eq!(
            proofs(&report(vec![proof("schema", false, true), proof("database", false, false)])),
            json!({"schema": "fails", "database": "not checked", "models": "not proven"})
        );
    }
}
