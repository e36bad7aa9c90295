//! What a gate can be told, and the gate that comes of it.

use std::{future::Future, sync::Arc, time::Duration};

use api::schema::v1::Dependent;
use tonic::transport::Endpoint;

use crate::{
    Gate, Inner, Mode, health,
    proof::{HostProofs, Needs, ProofError, boxed},
    refusal::{Reason, Refusal},
    schema::Schema,
    state::State,
};

/// A gate in the making; begin with [`Gate::builder`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    endpoint: Endpoint,
    dependent: Dependent,
    mode: Mode,
    look_every: Duration,
    max_staleness: Duration,
    reported: Vec<String>,
    probe_failures: u32,
    proofs: HostProofs,
}

impl Builder {
    pub(crate) fn new(service: &str, endpoint: Endpoint) -> Self {
        let dependent = Dependent {
            service: service.into(),
            instance: uuid::Uuid::now_v7().to_string(),
            ..Dependent::default()
        };
        Self {
            endpoint,
            dependent,
            mode: Mode::default(),
            look_every: Duration::from_secs(5),
            max_staleness: Duration::from_secs(60 * 60),
            reported: Vec::new(),
            probe_failures: 1,
            proofs: HostProofs::default(),
        }
    }

    /// The oldest revision that this build can run on, such as `0002`.
    pub fn requires(mut self, revision: &str) -> Self {
        self.dependent.requires = revision.into();
        self
    }

    /// The newest revision that this build was built with; the one it requires, if not said.
    pub fn built_with(mut self, revision: &str) -> Self {
        self.dependent.built_with = revision.into();
        self
    }

    /// This replica's name, unique among those of the service; a UUID, if not said.
    pub fn instance(mut self, name: &str) -> Self {
        self.dependent.instance = name.into();
        self
    }

    /// The build, for people to read.
    pub fn version(mut self, version: &str) -> Self {
        self.dependent.version = version.into();
        self
    }

    /// What opening needs; head, if not said.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How often everything is looked at anew though nothing was heard; 5 s, if not said, and
    /// never zero.
    pub fn look_every(mut self, period: Duration) -> Self {
        self.look_every = period.max(Duration::from_millis(1));
        self
    }

    /// How long an open gate stays open on what it last knew while the schema service does not
    /// answer; an hour, if not said. Long, so that a blink takes nobody down.
    pub fn max_staleness(mut self, limit: Duration) -> Self {
        self.max_staleness = limit;
        self
    }

    /// The services whose health is the gate's, such as `chat.v1.ChatService`, beside `""`.
    pub fn reports<S: Into<String>>(mut self, services: impl IntoIterator<Item = S>) -> Self {
        self.reported.extend(services.into_iter().map(Into::into));
        self
    }

    /// How many probes must have read NOT_SERVING before [`Gate::shutdown`] refuses calls; one, if
    /// not said. As many as a balancer wants failures in a row, times the balancers that probe.
    pub fn probe_failures(mut self, probes: u32) -> Self {
        self.probe_failures = probes;
        self
    }

    /// The second proof: reads the identity of the database that the host is connected to, on
    /// the host's own connection. It must be the `database_id` that the schema service reads.
    pub fn database<F, Fut>(mut self, read: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, ProofError>> + Send + 'static,
    {
        self.proofs.database = boxed(read);
        self
    }

    /// The third proof: the host's own tables answer as its models need them, on the host's own
    /// connection. What it returns says what was seen, in words.
    pub fn models<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, ProofError>> + Send + 'static,
    {
        self.proofs.models = boxed(answer);
        self
    }

    /// The gate, closed. It learns nothing before [`Gate::run`] is spawned.
    pub async fn build(self) -> Gate {
        let Self {
            endpoint,
            mut dependent,
            mode,
            look_every,
            max_staleness,
            reported,
            probe_failures,
            proofs,
        } = self;
        if dependent.built_with.is_empty() {
            dependent.built_with.clone_from(&dependent.requires);
        }
        let address = endpoint.uri().to_string().trim_end_matches('/').to_owned();
        let needs = Needs {
            requires: match mode {
                Mode::Head => dependent.built_with.clone(),
                Mode::Required => dependent.requires.clone(),
            },
            built_with: dependent.built_with.clone(),
            grpcurl: grpcurl(&endpoint),
        };
        let unasked = Refusal::new(
            Reason::Unreachable,
            format!("the schema service at {address} has not answered yet"),
            [("current", ""), ("required", &needs.requires), ("head", "")],
        );
        Gate {
            inner: Arc::new(Inner {
                state: Arc::new(State::new(unasked)),
                health: health::Readiness::new(reported, probe_failures.into()).await,
                schema: Schema::new(endpoint),
                address,
                dependent,
                needs,
                mode,
                look_every,
                max_staleness,
                proofs,
            }),
        }
    }
}

/// The command up to the method, for people to complete or to copy.
fn grpcurl(endpoint: &Endpoint) -> String {
    let uri = endpoint.uri();
    let plaintext = if uri.scheme_str() == Some("https") { "" } else { "-plaintext " };
    let port = uri.port_u16().unwrap_or(if plaintext.is_empty() { 443 } else { 80 });
    format!("grpcurl {plaintext}{}:{port}", uri.host().unwrap_or_default())
}
