//! What the parts of one gate share.

use std::{sync::Arc, time::Duration};

use api::schema::v1::Dependent;

use crate::{
    decide::Requirements, health::HealthPublisher, proof::HostProofs, schema_client::SchemaClient,
    state::State,
};

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) state: Arc<State>,
    pub(crate) health: HealthPublisher,
    pub(crate) schema: SchemaClient,
    /// The schema service's address, for messages.
    pub(crate) address: String,
    pub(crate) dependent: Dependent,
    pub(crate) requirements: Requirements,
    pub(crate) check_interval: Duration,
    pub(crate) proofs: HostProofs,
}
