//! Channels to a server, and the calls that most tests make.

use std::net::SocketAddr;

use api::schema::v1::{
    CurrentRequest, DowngradeRequest, Event, SchemaState, UpgradeRequest,
    schema_service_client::SchemaServiceClient,
};
use tls::{ClientFiles, Connector};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// A channel that connects with its first call.
pub fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI").connect_lazy()
}

/// A TLS channel with these client files; the server's name is `localhost`.
pub fn secure_channel(address: SocketAddr, files: ClientFiles) -> Channel {
    let url = format!("https://localhost:{}", address.port());
    let endpoint = Endpoint::from_shared(url).expect("it is a URI");
    endpoint.connect_with_connector_lazy(Connector::new(files))
}

/// The status that `grpc.health.v1` reports for a service; `""` is the whole server.
pub async fn health(address: SocketAddr, service: &str) -> Result<ServingStatus, Status> {
    let request = HealthCheckRequest { service: service.into() };
    let response = HealthClient::new(channel(address)).check(request).await?;
    Ok(response.into_inner().status())
}

/// The state that the schema service reports.
///
/// # Panics
/// The call fails.
pub async fn current(address: SocketAddr) -> SchemaState {
    let response = SchemaServiceClient::new(channel(address)).current(CurrentRequest {}).await;
    response.expect("Current answers").into_inner().state.expect("with a state")
}

/// Upgrades and returns every event; `""` means head.
pub async fn upgrade(address: SocketAddr, target: &str) -> Result<Vec<Event>, Status> {
    let request = UpgradeRequest { target: target.into(), ..Default::default() };
    let stream = SchemaServiceClient::new(channel(address)).upgrade(request).await?;
    events(stream.into_inner(), |response| response.event).await
}

/// Downgrades with `force` and `allow_data_loss`, and returns every event.
pub async fn downgrade(address: SocketAddr, target: &str) -> Result<Vec<Event>, Status> {
    let request = DowngradeRequest {
        target: target.into(),
        force: true,
        allow_data_loss: true,
        ..Default::default()
    };
    let stream = SchemaServiceClient::new(channel(address)).downgrade(request).await?;
    events(stream.into_inner(), |response| response.event).await
}

async fn events<R>(
    mut stream: Streaming<R>,
    event: impl Fn(R) -> Option<Event>,
) -> Result<Vec<Event>, Status> {
    let mut events = Vec::new();
    while let Some(response) = stream.message().await? {
        events.push(event(response).expect("a response holds an event"));
    }
    Ok(events)
}
