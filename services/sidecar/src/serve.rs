//! `gate serve`: the sidecar. It answers probes, Envoy and Prometheus on one listener.

use gate::Gate;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use transport::{ListenerTls, metrics::Exporter, serve_http};

use crate::{
    config::GateConfig, envoy::authorization_server::AuthorizationServer, ext_authz::ExtAuthz,
    readiness,
};

/// Serves readiness until `stopping`, then until probes have read it, and deregisters.
///
/// # Errors
/// The schema service's URL cannot be used.
pub async fn serve(
    config: GateConfig,
    listener: TcpListener,
    tls: Option<ListenerTls>,
    stopping: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let gate = config.build().await?;
    let drained = CancellationToken::new();
    let evaluating = tokio::spawn(gate.clone().run(drained.clone()));
    let shutdown = async {
        stopping.cancelled().await;
        gate.shutdown(config.notice).await;
    };
    serve_http(listener, tls, routes(&gate), shutdown).await;
    drained.cancel();
    // It ends when it is cancelled, and never fails.
    let _ = evaluating.await;
    Ok(())
}

/// What a gate answers about itself; none of it is gated.
pub(crate) fn routes(gate: &Gate) -> Routes {
    let mut exporter = Exporter::default();
    gate.register(&mut exporter.registry);
    let mut routes = Routes::builder();
    routes.add_service(gate.health_service());
    routes.add_service(gate.readiness_service());
    routes.add_service(AuthorizationServer::new(ExtAuthz { gate: gate.clone() }));
    readiness::add_paths(routes.routes(), gate, exporter)
}
