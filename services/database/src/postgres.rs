//! A PostgreSQL server: where it is, and how a connection to it is made.

mod sslmode;
mod tls;

use std::fmt;

use tokio_postgres::{
    CancelToken, Client, Config, Connection, Error, Socket,
    config::{Host, SslMode},
    error::SqlState,
};

pub use self::tls::Secured;
use self::tls::{HandshakeFailed, PostgresConnector};
use super::{InvalidUrl, PATIENCE};

/// A PostgreSQL server. Printed, it holds no password.
#[derive(Clone, Eq, PartialEq)]
pub struct Postgres {
    config: Config,
    tls: PostgresConnector,
}

impl Postgres {
    /// Reads a URL: tokio_postgres' own, and libpq's parameters of TLS.
    pub(super) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let (url, ssl) = sslmode::TlsParameters::take(url)?;
        let mut config: Config = url.parse().map_err(|error: Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            InvalidUrl(format!("not a PostgreSQL URL: {error}{}", cause.unwrap_or_default()))
        })?;
        if config.get_hosts().is_empty() {
            return Err(InvalidUrl("no host: postgres://user@host/database".into()));
        }
        // Nobody listens in on a socket of this machine's: there is no TLS there, whatever is asked.
        let local = config.get_hosts().iter().all(|host| !matches!(host, Host::Tcp(_)));
        config.ssl_mode(if local { SslMode::Disable } else { ssl.mode });
        Ok(Self { config, tls: ssl.connector })
    }

    /// The same with a name for `pg_stat_activity`, unless the URL gave one.
    #[must_use]
    pub fn named(&self, application: &str) -> Self {
        let mut named = self.clone();
        if named.config.get_application_name().is_none() {
            named.config.application_name(application);
        }
        if named.config.get_connect_timeout().is_none() {
            named.config.connect_timeout(PATIENCE);
        }
        named
    }

    /// Another database of the same server.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// Connects.
    ///
    /// # Errors
    /// The server cannot be reached, is not who it must be, or refuses.
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, Secured>), Error> {
        match self.config.connect(self.tls.clone()).await {
            Err(error) if self.may_go_without(&error) => {
                let mut plain = self.config.clone();
                plain.ssl_mode(SslMode::Disable).connect(self.tls.clone()).await
            }
            connected => connected,
        }
    }

    /// Asks the server to cancel what a connection of ours runs.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        token.cancel_query(self.tls.clone()).await
    }

    /// Whether plaintext is tried after a failure over TLS, as libpq does where TLS is only
    /// preferred: the two have no version in common, or the server lets in no one over TLS.
    fn may_go_without(&self, error: &Error) -> bool {
        let handshake = std::error::Error::source(error)
            .is_some_and(|source| source.downcast_ref::<HandshakeFailed>().is_some());
        self.config.get_ssl_mode() == SslMode::Prefer
            && (handshake || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, .. } = self;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            _ => String::new(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let name = config.get_dbname().or(config.get_user()).unwrap_or_default();
        write!(f, "postgres://{host}:{port}/{name}")
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
