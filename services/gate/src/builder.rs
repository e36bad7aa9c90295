//! What a gate can be told, and the gate that comes of it.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use api::{Reason, schema::v1::Dependent};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};

use crate::{
    Gate, Inner, Mode, health,
    proof::{HostProofs, Needs, ProofError, boxed},
    refusal::Refusal,
    schema::{Intercept, Schema},
    state::State,
};

/// A gate in the making; begin with [`Gate::builder`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    endpoint: Endpoint,
    connect: Connect,
    intercept: Intercept,
    grpcurl_flags: String,
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
            connect: Connect(Box::new(|endpoint| endpoint.connect_lazy())),
            intercept: Intercept::by(Ok),
            grpcurl_flags: String::new(),
            dependent,
            mode: Mode::default(),
            look_every: Duration::from_secs(5),
            max_staleness: Duration::from_secs(60 * 60),
            reported: Vec::new(),
            probe_failures: 1,
            proofs: HostProofs::default(),
        }
    }

    /// How the schema service is connected to, where its URL is `https://` or the host has its own
    /// way: `|endpoint| endpoint.connect_with_connector_lazy(connector)`. Plaintext, if not said.
    pub fn connect_with(
        mut self,
        connect: impl FnOnce(Endpoint) -> Channel + Send + 'static,
    ) -> Self {
        self.connect = Connect(Box::new(connect));
        self
    }

    /// What is done to each call to the schema service before it goes out, such as adding a token.
    pub fn intercept<F>(mut self, intercept: F) -> Self
    where
        F: Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync + 'static,
    {
        self.intercept = Intercept::by(intercept);
        self
    }

    /// What `grpcurl` needs to be told to reach the schema service, such as `-cacert ca.pem`, in
    /// the commands that a refusal names.
    pub fn grpcurl_flags(mut self, flags: impl Into<String>) -> Self {
        self.grpcurl_flags = flags.into();
        self
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
            connect,
            intercept,
            grpcurl_flags,
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
            grpcurl: grpcurl(&endpoint, &grpcurl_flags),
        };
        let unasked = Refusal::new(
            Reason::SchemaUnreachable,
            format!("the schema service at {address} has not answered yet"),
            [("current", ""), ("required", &needs.requires), ("head", "")],
        );
        Gate {
            inner: Arc::new(Inner {
                state: Arc::new(State::new(unasked)),
                health: health::Readiness::new(reported, probe_failures.into()).await,
                schema: Schema::new(endpoint, connect.0, intercept),
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

/// Makes a channel of an endpoint.
struct Connect(Box<dyn FnOnce(Endpoint) -> Channel + Send>);

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").finish_non_exhaustive()
    }
}

/// The command up to the method, for people to complete or to copy.
fn grpcurl(endpoint: &Endpoint, flags: &str) -> String {
    let uri = endpoint.uri();
    let secure = uri.scheme_str() == Some("https");
    let mut words = vec!["grpcurl"];
    words.extend((!secure).then_some("-plaintext"));
    words.extend((!flags.is_empty()).then_some(flags));
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    format!("{} {}:{port}", words.join(" "), uri.host().unwrap_or_default())
}
