//! The settings of a gate.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use api::schema::v1::Dependent;
use tonic::{
    Request, Status,
    transport::{self, Channel, Endpoint},
};

use crate::{
    decide::{Cause, Mode, Requirements},
    gate::Gate,
    health::HealthPublisher,
    inner::Inner,
    message,
    proof::{HostProof, HostProofs, ProofError},
    schema_client::{CallInterceptor, SchemaClient},
    state::State,
    view::SchemaView,
};

const CHECK_INTERVAL: Duration = Duration::from_secs(5);
const MAX_STALENESS: Duration = Duration::from_secs(60 * 60);

/// The settings of a gate; from [`Gate::builder`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    endpoint: Endpoint,
    connect: ConnectFn,
    interceptor: CallInterceptor,
    dependent: Dependent,
    mode: Mode,
    check_interval: Duration,
    max_staleness: Duration,
    services: Vec<String>,
    probe_failures: u32,
    proofs: HostProofs,
}

impl Gate {
    /// Starts to build a gate for `service`, such as `chat`, with the schema service at `endpoint`,
    /// such as `http://127.0.0.1:50051`.
    ///
    /// # Errors
    /// The endpoint is not a URL.
    pub fn builder<E>(service: &str, endpoint: E) -> Result<Builder, transport::Error>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Ok(Builder::new(service, Endpoint::new(endpoint)?))
    }
}

impl Builder {
    fn new(service: &str, endpoint: Endpoint) -> Self {
        let dependent = Dependent {
            service: service.into(),
            instance: uuid::Uuid::now_v7().to_string(),
            ..Dependent::default()
        };
        Self {
            endpoint,
            connect: ConnectFn(Box::new(|endpoint| endpoint.connect_lazy())),
            interceptor: CallInterceptor::new(Ok),
            dependent,
            mode: Mode::default(),
            check_interval: CHECK_INTERVAL,
            max_staleness: MAX_STALENESS,
            services: Vec::new(),
            probe_failures: 1,
            proofs: HostProofs::default(),
        }
    }

    /// Sets how to connect to the schema service, for example over TLS:
    /// `|endpoint| endpoint.connect_with_connector_lazy(connector)`. Default: plaintext.
    pub fn connect_with(
        mut self,
        connect: impl FnOnce(Endpoint) -> Channel + Send + 'static,
    ) -> Self {
        self.connect = ConnectFn(Box::new(connect));
        self
    }

    /// Changes each call to the schema service before it is sent, for example adds a token.
    pub fn intercept<F>(mut self, intercept: F) -> Self
    where
        F: Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync + 'static,
    {
        self.interceptor = CallInterceptor::new(intercept);
        self
    }

    /// The oldest revision that this build can run on, such as `0002`.
    pub fn requires(mut self, revision: &str) -> Self {
        self.dependent.requires = revision.into();
        self
    }

    /// The newest revision that existed when this build was made. Default: the required one.
    pub fn built_with(mut self, revision: &str) -> Self {
        self.dependent.built_with = revision.into();
        self
    }

    /// This replica's name, unique among those of the service. Default: a UUID.
    pub fn instance(mut self, name: &str) -> Self {
        self.dependent.instance = name.into();
        self
    }

    /// The version of this build, for people.
    pub fn version(mut self, version: &str) -> Self {
        self.dependent.version = version.into();
        self
    }

    /// What the gate needs of the schema. Default: [`Mode::Head`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How often the gate is evaluated when nothing changes; at least a millisecond. Default: 5 s.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How old the last answer of a schema service that does not answer may get before an open
    /// gate closes. Default: an hour, so that a restart of the schema service closes no gate.
    pub fn max_staleness(mut self, limit: Duration) -> Self {
        self.max_staleness = limit;
        self
    }

    /// Adds services whose health follows the gate, such as `chat.v1.ChatService`; `""` always does.
    pub fn reports<S: Into<String>>(mut self, services: impl IntoIterator<Item = S>) -> Self {
        self.services.extend(services.into_iter().map(Into::into));
        self
    }

    /// How many probes must read NOT_SERVING before [`Gate::shutdown`] refuses calls: the failures
    /// in a row that a load balancer requires, times the balancers that probe. Default: 1.
    pub fn probe_failures(mut self, probes: u32) -> Self {
        self.probe_failures = probes;
        self
    }

    /// Adds the proof `database`: `read` reads the identity of the database on the host's own
    /// connection, and it must equal the `database_id` that the schema service reports.
    pub fn database<F, Fut>(mut self, read: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, ProofError>> + Send + 'static,
    {
        self.proofs.provide(HostProof::Database, read);
        self
    }

    /// Adds the proof `models`: `check` checks on the host's own connection that its tables are
    /// what its models need, and returns the evidence as a text for people.
    pub fn models<F, Fut>(mut self, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, ProofError>> + Send + 'static,
    {
        self.proofs.provide(HostProof::Models, check);
        self
    }

    /// Builds the gate. It is closed, and stays so until [`Gate::run`] is spawned.
    pub async fn build(self) -> Gate {
        let Self { endpoint, mut dependent, mode, .. } = self;
        if dependent.built_with.is_empty() {
            dependent.built_with.clone_from(&dependent.requires);
        }
        let address = endpoint.uri().to_string().trim_end_matches('/').to_owned();
        let requirements = Requirements {
            mode,
            requires: dependent.requires.clone(),
            built_with: dependent.built_with.clone(),
            max_staleness: self.max_staleness,
        };
        let nothing_learned = SchemaView::default();
        let refusal =
            message::refusal(&Cause::Unreachable, &nothing_learned, &requirements, &address);
        Gate {
            inner: Arc::new(Inner {
                state: Arc::new(State::closed(refusal)),
                health: HealthPublisher::new(self.services, self.probe_failures.into()).await,
                schema: SchemaClient::new(endpoint, self.connect.0, self.interceptor),
                address,
                dependent,
                requirements,
                check_interval: self.check_interval,
                proofs: self.proofs,
            }),
        }
    }
}

struct ConnectFn(Box<dyn FnOnce(Endpoint) -> Channel + Send>);

impl fmt::Debug for ConnectFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectFn").finish_non_exhaustive()
    }
}
