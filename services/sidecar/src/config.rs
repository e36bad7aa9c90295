//! The settings of the gate, and the gate that they describe.

use std::time::Duration;

use access::Bearer;
use database::{Database, DatabaseUrl};
use gate::{Gate, Mode, ProofError};
use tls::{ClientFiles, Connector};
use tonic::transport::Uri;
use wire::error_chain;

/// Connections for the proof "database".
const DATABASE_CONNECTIONS: usize = 1;

/// The settings of a gate that stands for another program.
#[derive(Clone, Debug)]
pub struct GateConfig {
    /// The gated service's name, by which operators see it as a live dependent.
    pub service: String,
    /// The oldest revision that the service can run on.
    pub requires: String,
    /// The newest revision that existed when the service was built.
    pub built_with: String,
    /// What opening needs.
    pub mode: Mode,
    /// How old the last answer of a schema service may get before an open gate closes.
    pub max_staleness: Duration,
    /// The schema service.
    pub schema_url: Uri,
    /// TLS of the connection to it.
    pub schema_tls: ClientFiles,
    /// The token to present to it.
    pub schema_token: Bearer,
    /// The gated service's database; without it the proof "database" is not made.
    pub database: Option<DatabaseUrl>,
    /// How long probes have to read NOT_SERVING before a shutdown refuses calls.
    pub notice: Duration,
    /// How many probes must have read it.
    pub probe_failures: u32,
}

impl GateConfig {
    /// Builds the gate, closed.
    pub(crate) async fn build(&self) -> Result<Gate, tonic::transport::Error> {
        let connector = Connector::new(self.schema_tls.clone());
        let token = self.schema_token.clone();
        let mut builder = Gate::builder(&self.service, self.schema_url.clone())?
            .connect_with(|endpoint| endpoint.connect_with_connector_lazy(connector))
            .intercept(move |request| token.authorize(request))
            .requires(&self.requires)
            .built_with(&self.built_with)
            .mode(self.mode)
            .max_staleness(self.max_staleness)
            .probe_failures(self.probe_failures)
            .reports([self.service.clone()]);
        if let Some(url) = &self.database {
            let database = Database::new(url, "schemagate-gate", DATABASE_CONNECTIONS);
            builder = builder.database(move || read_identity(database.clone()));
        }
        Ok(builder.build().await)
    }
}

async fn read_identity(database: Database) -> Result<String, ProofError> {
    let mut connection = database.connection().await.map_err(|error| untried(&error))?;
    database.identity(&mut connection).await.map_err(|error| untried(&error))
}

fn untried(error: &dyn std::error::Error) -> ProofError {
    ProofError::Untried(error_chain(error))
}
